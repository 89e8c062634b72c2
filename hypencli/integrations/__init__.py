"""Adapters for the frameworks that people use. Each is a module, and imports its framework.

| module | what it offers |
| --- | --- |
| :mod:`~hypencli.integrations.mteb` | a search model for ``mteb.evaluate`` |
| :mod:`~hypencli.integrations.pyterrier` | a retriever, a scorer and an indexer for pipelines |
| :mod:`~hypencli.integrations.langchain` | a retriever |
| :mod:`~hypencli.integrations.llama_index` | a retriever |
| :mod:`~hypencli.integrations.haystack` | a retriever component |
| :mod:`~hypencli.integrations.sentence_transformers` | bi-encoders as Sentence Transformers |
| :mod:`~hypencli.integrations.ranx` | runs and judgements as those of ranx |

They call the library of this project and hold no logic of retrieval.
"""
