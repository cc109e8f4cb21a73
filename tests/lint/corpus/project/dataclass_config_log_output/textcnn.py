import torch
import torch.nn.functional as F
from config import ModelConfig
from torch import nn


class TextCNN(nn.Module):
    def __init__(self, cfg: ModelConfig):
        super().__init__()
        self.cfg = cfg
        self.embed = nn.Embedding(cfg.vocab_size, cfg.embed_dim)
        self.conv = nn.Conv1d(cfg.embed_dim, 64, 3)
        self.fc = nn.Linear(64, cfg.num_classes)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens).transpose(1, 2)
        x = self.fc(F.relu(self.conv(x)).amax(dim=2))
        if self.cfg.log_output:
            return F.log_softmax(x, dim=1)
        return F.softmax(x, dim=1)
