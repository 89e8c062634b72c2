"""Base class of the tables of a recipe: immutable, strict, with an identity."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationInfo, field_validator

from hypencli.option_fields import LARGEST

IDENTITY_VERSION: Final = 1
"""Part of every recipe's hash. Increase it if a default or the meaning of a field changes."""

NOT_IDENTITY: Final[dict[str, JsonValue]] = {"identity": False}
"""Marks a field that does not change the weights, or whose content has a fingerprint of its own."""

UNSET: Final = "none"
"""Word that unsets a value of an extended recipe, because TOML has no null."""

Pooling = Literal["cls", "mean", "mean-unmasked"]


class Section(BaseModel):
    """A table of a recipe: immutable, strict about types, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _clear(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, int) and abs(value) > LARGEST:
            raise ValueError(f"it is too large: {LARGEST:,} is the limit")
        field = cls.model_fields[info.field_name or ""]
        optional = type(None) in get_args(field.annotation)
        return None if optional and value == UNSET else value

    def identity(self) -> dict[str, JsonValue]:
        """Return the values that determine the training, as plain JSON.

        Defaults are left out, so that a new field does not change existing hashes. A change of a
        default or of a meaning requires a higher :data:`IDENTITY_VERSION`.
        """
        values: dict[str, JsonValue] = {}
        for name, field in type(self).model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict) and extra.get("identity") is False:
                continue
            value = _identity_of(getattr(self, name))
            default = None if field.is_required() else field.get_default(call_default_factory=True)
            if field.is_required() or value != _identity_of(default):
                values[name] = value
        return values


def _identity_of(value: Any) -> JsonValue:
    if isinstance(value, Section):
        return value.identity()
    if isinstance(value, tuple):
        return [_identity_of(each) for each in value]
    plain: JsonValue = value
    return plain
