"""Numbers that know no treatment: laws, intervals and tests, each written once."""

__all__: list[str] = []
