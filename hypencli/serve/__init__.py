"""``hype serve``: a project store over HTTP. It calls the library, without logic of its own."""
