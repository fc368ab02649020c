"""Networks and their training; everything here needs PyTorch."""

__all__: list[str] = []
