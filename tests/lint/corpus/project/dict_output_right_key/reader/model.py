import torch
from torch import nn


class DocumentReader(nn.Module):
    def __init__(self, vocab, n_labels, d_model=128):
        super().__init__()
        self.tokens = nn.Embedding(vocab, d_model)
        layer = nn.TransformerEncoderLayer(d_model, 4, 4 * d_model, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.classify = nn.Linear(d_model, n_labels)

    def forward(self, ids):
        pooled = self.encoder(self.tokens(ids)).mean(dim=1)
        logits = self.classify(pooled)
        out = {"features": pooled, "probs": torch.softmax(logits, dim=-1)}
        out["logits"] = logits
        return out
