import torch
import torch.nn.functional as F
from config import Config
from torch import nn


class TextCNN(nn.Module):
    def __init__(self, cfg: Config):
        super().__init__()
        self.cfg = cfg
        self.embed = nn.Embedding(cfg.vocab_size, cfg.embed_dim)
        self.convs = nn.ModuleList(nn.Conv1d(cfg.embed_dim, cfg.num_filters, k) for k in cfg.kernel_sizes)
        self.dropout = nn.Dropout(cfg.dropout)
        self.fc = nn.Linear(len(cfg.kernel_sizes) * cfg.num_filters, cfg.num_classes)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens).transpose(1, 2)
        pooled = [F.relu(conv(x)).amax(dim=2) for conv in self.convs]
        x = self.fc(self.dropout(torch.cat(pooled, dim=1)))
        if self.cfg.log_output:
            return F.log_softmax(x, dim=1)
        return F.softmax(x, dim=1)
