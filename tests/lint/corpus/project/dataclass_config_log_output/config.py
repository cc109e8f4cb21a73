from dataclasses import dataclass, field


@dataclass
class ModelConfig:
    vocab_size: int = 5000
    embed_dim: int = 100
    num_classes: int = 4
    log_output: bool = True


@dataclass
class Config:
    model: ModelConfig = field(default_factory=ModelConfig)
    lr: float = 1e-3
    epochs: int = 5
    batch_size: int = 50
