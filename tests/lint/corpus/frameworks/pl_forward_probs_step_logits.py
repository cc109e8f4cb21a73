# case: forward gives probabilities for serving, the training steps take self.logits(...): nothing is wrong
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn


class IntentTagger(pl.LightningModule):
    """Served through TorchScript, where callers want probabilities from ``forward``."""

    def __init__(self, vocab_size, n_intents, emb=100, hidden=256, lr=2e-3):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, emb)
        self.mlp = nn.Sequential(nn.Linear(emb, hidden), nn.GELU(), nn.Dropout(0.3))
        self.out = nn.Linear(hidden, n_intents)
        self.lr = lr

    def logits(self, tokens, offsets):
        return self.out(self.mlp(self.embedding(tokens, offsets)))

    def forward(self, tokens, offsets):
        return F.softmax(self.logits(tokens, offsets), dim=-1)

    def training_step(self, batch, _):
        tokens, offsets, intent = batch
        loss = F.cross_entropy(self.logits(tokens, offsets), intent)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, _):
        tokens, offsets, intent = batch
        logits = self.logits(tokens, offsets)
        self.log("val_loss", F.cross_entropy(logits, intent))
        probs = self(tokens, offsets)
        self.log("val_conf", probs.max(dim=-1).values.mean())
        self.log("val_acc", (probs.argmax(-1) == intent).float().mean())

    def test_step(self, batch, batch_idx):
        tokens, offsets, intent = batch
        probs = self(tokens, offsets)
        brier = (probs - F.one_hot(intent, probs.size(-1))).pow(2).sum(-1).mean()
        self.log("brier", brier)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.9)
