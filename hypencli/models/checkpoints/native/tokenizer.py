"""WordPiece tokenizers of BERT, read by the library ``tokenizers`` alone.

``transformers`` builds such a tokenizer anew from the vocabulary and from
``tokenizer_config.json``, and ignores other rules in ``tokenizer.json``. So the file is read as it
is only if it has exactly the rules that the library would build.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer

from hypencli.models.checkpoints.tokenizer_bounds import bounded_json, refusing_panics

_CLASSES = (
    *("BertTokenizer", "BertTokenizerFast"),
    *("DistilBertTokenizer", "DistilBertTokenizerFast"),
)
_KINDS = (None, "bert", "distilbert")
_SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
_FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
_WITHOUT_EFFECT = frozenset(
    (
        *("tokenizer_class", "name_or_path", "do_basic_tokenize", "special_tokens_map_file"),
        *("clean_up_tokenization_spaces", "is_local", "local_files_only", "model_input_names"),
        *("max_length", "stride", "truncation_strategy", "pad_to_multiple_of"),
        *("pad_token_type_id", "model_max_length", "do_lower_case", "strip_accents"),
        *("tokenize_chinese_chars", "added_tokens_decoder"),
    )
)
"""Keys of ``tokenizer_config.json`` without effect on token ids, or read below."""

_ONLY: Mapping[str, tuple[Any, ...]] = {
    "never_split": (None,),
    "backend": ("tokenizers",),
    "padding_side": ("right",),
    "truncation_side": ("right",),
    "extra_special_tokens": ([], {}),
    "additional_special_tokens": ([],),
}
"""Keys that leave a tokenizer as it is with these values."""

_MOST_TOKENS = 100_000
"""Tokens beyond which the library looks for a defect of other tokenizers."""

UNLIMITED = int(1e30)
"""Maximal length, in tokens, of a tokenizer that states none; the library's number."""


class TokenisedTexts(dict[str, list[list[int]]]):
    """Token ids of texts under ``input_ids``, and the encodings they are of."""

    def __init__(self, encodings: Sequence[Encoding]) -> None:
        super().__init__(input_ids=[encoding.ids for encoding in encodings])
        self.encodings = encodings


class NativeTokenizer:
    """A tokenizer that gives token ids of texts; all else it leaves to that of ``transformers``.

    Args:
        tokenizer: The tokenizer.
        pad_token_id: Id of the padding token.
        model_max_length: Most tokens of a text.
        library: Loads the tokenizer of ``transformers``, whose other attributes this one has.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        pad_token_id: int,
        model_max_length: int,
        library: Callable[[], Any],
    ) -> None:
        self.backend_tokenizer = tokenizer
        self.pad_token_id = pad_token_id
        self.model_max_length = model_max_length
        self._load_library = library
        self._library: Any = None

    def __call__(self, text: Any, *others: Any, **options: Any) -> Any:
        """Tokenise texts as the tokenizer of ``transformers`` does.

        Args:
            text: The texts.
            others: Texts that are paired with them.
            options: ``truncation``, ``max_length``; with others the library tokenises.
        """
        own = {"truncation", "max_length", "padding", "return_attention_mask"}
        truncation, longest = options.get("truncation", False), options.get("max_length")
        if (
            others
            or not isinstance(text, list)
            or not options.keys() <= own
            or options.get("padding", False) is not False
            or truncation not in (True, False)
            or (truncation and (longest is None or longest < 2))
        ):
            return self.library(text, *others, **options)
        if truncation and longest is not None:
            self.backend_tokenizer.enable_truncation(max_length=longest)
        else:
            self.backend_tokenizer.no_truncation()
        return TokenisedTexts(self.backend_tokenizer.encode_batch(text))

    def __len__(self) -> int:
        """Return the number of tokens."""
        return int(self.backend_tokenizer.get_vocab_size(with_added_tokens=True))

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the tokenizer of ``transformers``."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.library, name)

    @property
    def library(self) -> Any:
        """The same tokenizer as an object of ``transformers``, which is imported here."""
        if self._library is None:
            self._library = self._load_library()
            self._library.model_max_length = self.model_max_length
        return self._library


def native_tokenizer(folder: Path, library: Callable[[], Any]) -> NativeTokenizer | None:
    """Return the tokenizer of a folder; None if the library must read it.

    Args:
        folder: A folder with ``tokenizer.json`` and ``tokenizer_config.json``.
        library: Loads the tokenizer of ``transformers``.

    Raises:
        ModelError: ``tokenizer.json`` is too large, is not JSON, or exceeds a bound.
    """
    settings, kind = _object(folder / "tokenizer_config.json"), _object(folder / "config.json")
    if settings is None or kind is None or kind.get("model_type") not in _KINDS:
        return None
    others = ("added_tokens.json", "vocab.json", "chat_template.jinja", "chat_template.json")
    if any((folder / name).exists() for name in others) or "auto_map" in kind:
        return None
    special = _special_tokens(folder, settings)
    longest = settings.get("model_max_length", UNLIMITED)
    path = folder / "tokenizer.json"
    if special is None or type(longest) is not int or longest < 1 or not path.is_file():
        return None
    text, raw = bounded_json(path)
    if not _is_as_built(raw, settings, special):
        return None
    with refusing_panics(f"The tokenizer at {str(folder)!r} cannot be read"):
        tokenizer = Tokenizer.from_str(text)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return NativeTokenizer(
        tokenizer,
        pad_token_id=raw["model"]["vocab"][special["pad_token"]],
        model_max_length=longest,
        library=library,
    )


def _special_tokens(folder: Path, settings: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the special tokens by role, if all settings are usual ones; else None."""
    if not settings.keys() <= {*_WITHOUT_EFFECT, *_ONLY, *_SPECIAL}:
        return None
    if settings.get("tokenizer_class") not in _CLASSES:
        return None
    if any(key in settings and settings[key] not in values for key, values in _ONLY.items()):
        return None
    path = folder / "special_tokens_map.json"
    mapped = _object(path) if path.exists() else {}
    if mapped is None or not mapped.keys() <= _SPECIAL.keys():
        return None
    contents = {}
    for role, usual in _SPECIAL.items():
        content = _content(settings.get(role, usual))
        if content is None or _content(mapped.get(role, content)) != content:
            return None
        contents[role] = content
    return contents if len(set(contents.values())) == len(contents) else None


def _content(token: object) -> str | None:
    """Return the text of a special token, if it has the usual flags; else None."""
    if not isinstance(token, dict):
        return token if isinstance(token, str) and token else None
    usual = {**_FLAGS, "special": True, "__type": "AddedToken"}
    content = token.get("content")
    is_usual = all(
        key in usual and _same(value, usual[key])
        for key, value in token.items()
        if key != "content"
    )
    return content if is_usual and isinstance(content, str) and content else None


def _is_as_built(
    raw: Mapping[str, Any], settings: Mapping[str, Any], special: Mapping[str, str]
) -> bool:
    """Whether a ``tokenizer.json`` has the rules that the library builds from the settings."""
    model = raw.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(vocabulary, dict) or len(vocabulary) > _MOST_TOKENS:
        return False
    if any(token not in vocabulary for token in special.values()):
        return False
    ids = {token: vocabulary[token] for token in special.values()}
    if any(type(number) is not int for number in ids.values()):
        return False
    added = [
        {"id": number, "content": token, **_FLAGS, "special": True}
        for token, number in sorted(ids.items(), key=lambda one: one[1])
    ]
    decoder = settings.get("added_tokens_decoder")
    by_id = {str(one["id"]): {k: v for k, v in one.items() if k != "id"} for one in added}
    if decoder is not None and not _same(decoder, by_id):
        return False
    expected = {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": settings.get("tokenize_chinese_chars", True),
            "strip_accents": settings.get("strip_accents"),
            "lowercase": settings.get("do_lower_case", True),
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": _template(special["cls_token"], special["sep_token"], ids),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    }
    word_piece = {
        "type": "WordPiece",
        "unk_token": special["unk_token"],
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": vocabulary,
    }
    stated = {key: value for key, value in raw.items() if key not in ("truncation", "padding")}
    return _same(stated, {**expected, "model": word_piece})


def _template(first: str, last: str, ids: Mapping[str, int]) -> dict[str, Any]:
    """Return the rule that puts a token before a text and one after it."""

    def token(name: str, kind: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": name, "type_id": kind}}

    single = [token(first, 0), {"Sequence": {"id": "A", "type_id": 0}}, token(last, 0)]
    second = [{"Sequence": {"id": "B", "type_id": 1}}, token(last, 1)]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, *second],
        "special_tokens": {
            name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in (first, last)
        },
    }


def _same(stated: object, expected: object) -> bool:
    """Whether values of JSON are equal; 1 is not true, and 1.0 not 1."""
    if isinstance(stated, dict) and isinstance(expected, dict):
        if stated is expected:
            return all(type(number) is int for number in stated.values())
        return stated.keys() == expected.keys() and all(
            _same(stated[key], value) for key, value in expected.items()
        )
    if isinstance(stated, list) and isinstance(expected, list):
        return len(stated) == len(expected) and all(map(_same, stated, expected))
    return type(stated) is type(expected) and stated == expected


def _object(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None if there is none, or another value, which the library reads."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
