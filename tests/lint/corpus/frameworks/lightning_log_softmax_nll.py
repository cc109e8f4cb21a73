# case: lightning as L: LogSoftmax in the network, nll_loss in the steps, exp at prediction: right throughout
import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import nn, optim


class PointNetCls(nn.Module):
    def __init__(self, k=40):
        super().__init__()
        self.feat = nn.Sequential(
            nn.Conv1d(3, 64, 1), nn.BatchNorm1d(64), nn.ReLU(), nn.Conv1d(64, 1024, 1), nn.BatchNorm1d(1024)
        )
        self.fc1 = nn.Linear(1024, 256)
        self.fc2 = nn.Linear(256, k)
        self.bn = nn.BatchNorm1d(256)

    def forward(self, pts):
        x = self.feat(pts)
        x = torch.max(x, 2)[0]
        x = F.relu(self.bn(self.fc1(x)))
        x = self.fc2(x)
        return F.log_softmax(x, dim=1)


class PointCloudModule(L.LightningModule):
    def __init__(self, num_classes=40):
        super().__init__()
        self.classifier = PointNetCls(num_classes)

    def forward(self, pts):
        return self.classifier(pts)

    def training_step(self, batch, batch_idx):
        points, target = batch
        pred = self.classifier(points.transpose(2, 1))
        loss = F.nll_loss(pred, target)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        points, target = batch
        log_probs = self.classifier(points.transpose(2, 1))
        self.log("val_loss", F.nll_loss(log_probs, target))
        correct = log_probs.max(1)[1].eq(target).sum().item()
        self.log("val_acc", correct / len(target))

    def predict_step(self, batch, batch_idx):
        points, _ = batch
        return self(points.transpose(2, 1)).exp()

    def configure_optimizers(self):
        optimizer = optim.Adam(self.parameters(), lr=0.001, betas=(0.9, 0.999))
        return [optimizer], [optim.lr_scheduler.StepLR(optimizer, step_size=20, gamma=0.5)]


def build_trainer(epochs: int) -> L.Trainer:
    callbacks = [EarlyStopping("val_loss", patience=10), ModelCheckpoint(monitor="val_acc", mode="max")]
    return L.Trainer(max_epochs=epochs, callbacks=callbacks, gradient_clip_val=1.0)
