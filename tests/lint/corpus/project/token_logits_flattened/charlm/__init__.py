from charlm.model import CharGRU

__all__ = ["CharGRU"]
