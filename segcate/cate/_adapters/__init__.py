"""Other libraries' models behind our contract."""

__all__: list[str] = []
