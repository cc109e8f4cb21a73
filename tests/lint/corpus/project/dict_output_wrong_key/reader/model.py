import torch
from torch import nn


class DocumentReader(nn.Module):
    def __init__(self, vocab, n_labels, d_model=128, n_heads=4, n_layers=2):
        super().__init__()
        self.tokens = nn.Embedding(vocab, d_model)
        self.positions = nn.Parameter(torch.zeros(1, 512, d_model))
        layer = nn.TransformerEncoderLayer(d_model, n_heads, 4 * d_model, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, n_layers)
        self.classify = nn.Linear(d_model, n_labels)

    def forward(self, ids):
        h = self.tokens(ids) + self.positions[:, : ids.size(1)]
        h = self.encoder(h)
        pooled = h.mean(dim=1)
        logits = self.classify(pooled)
        return {"logits": logits, "probs": logits.softmax(dim=-1), "features": pooled}
