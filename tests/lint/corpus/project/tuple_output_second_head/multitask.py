import torch
import torch.nn as nn


class MultiTaskTrainer:
    def __init__(self, model, optimizer, alpha=0.5):
        self.model = model
        self.optimizer = optimizer
        self.alpha = alpha
        self.id_loss = nn.CrossEntropyLoss()
        self.attr_loss = nn.BCELoss()

    def train_batch(self, faces, ids, attributes):
        self.model.train()
        id_out, attr_out = self.model(faces)
        loss_id = self.id_loss(id_out, ids)
        loss_attr = self.attr_loss(attr_out, attributes)  # expect: LH108
        loss = self.alpha * loss_id + (1 - self.alpha) * loss_attr
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss_id.item(), loss_attr.item()

    @torch.no_grad()
    def rank_one(self, faces, ids):
        self.model.eval()
        id_out, _ = self.model(faces)
        return (id_out.argmax(1) == ids).float().mean().item()
