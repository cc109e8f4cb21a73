# case: accelerate with logits through prepare, unwrap_model and gather; the softmax is in the pooling
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import nn
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC


class AttentionPool(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.score = nn.Linear(dim, 1)

    def forward(self, x, mask):
        scores = self.score(x).squeeze(-1).masked_fill(~mask, float("-inf"))
        alpha = F.softmax(scores, dim=1)
        return (alpha.unsqueeze(-1) * x).sum(dim=1)


class ReviewModel(nn.Module):
    def __init__(self, vocab, dim=128, stars=5):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim, padding_idx=0)
        self.gru = nn.GRU(dim, dim, batch_first=True, bidirectional=True)
        self.pool = AttentionPool(2 * dim)
        self.out = nn.Linear(2 * dim, stars)

    def forward(self, ids):
        h, _ = self.gru(self.emb(ids))
        return self.out(self.pool(h, ids != 0))

    def predict_proba(self, ids):
        return self(ids).softmax(dim=-1)


def run(train_loader, val_loader, vocab, epochs=4):
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    model = ReviewModel(vocab)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model, optimizer, train_loader, val_loader = accelerator.prepare(
        model, optimizer, train_loader, val_loader
    )
    accuracy = MulticlassAccuracy(num_classes=5).to(accelerator.device)
    auroc = MulticlassAUROC(num_classes=5).to(accelerator.device)

    for _ in range(epochs):
        model.train()
        for ids, stars in train_loader:
            with accelerator.autocast():
                loss = F.cross_entropy(model(ids), stars)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()

        model.eval()
        for ids, stars in val_loader:
            with torch.inference_mode():
                probs = accelerator.unwrap_model(model).predict_proba(ids)
            probs, stars = accelerator.gather_for_metrics((probs, stars))
            accuracy.update(probs, stars)
            auroc.update(probs, stars)
        accelerator.print(accuracy.compute().item(), auroc.compute().item())
        accuracy.reset()
        auroc.reset()
