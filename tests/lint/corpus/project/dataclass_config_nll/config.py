from dataclasses import dataclass


@dataclass
class Config:
    vocab_size: int = 5000
    embed_dim: int = 100
    num_filters: int = 64
    kernel_sizes: tuple[int, ...] = (3, 4, 5)
    num_classes: int = 4
    dropout: float = 0.5
    log_output: bool = False
    lr: float = 1e-3
    epochs: int = 5
    batch_size: int = 50
