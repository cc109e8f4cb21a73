import lightning as L
import torch
from nets import WideNet
from torch import nn
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError


class LitClassifier(L.LightningModule):
    def __init__(self, in_dim: int = 784, num_classes: int = 10, lr: float = 1e-3):
        super().__init__()
        self.save_hyperparameters()
        self.net = WideNet(in_dim, num_classes)
        self.loss = nn.CrossEntropyLoss()
        self.accuracy = MulticlassAccuracy(num_classes)
        self.calibration = MulticlassCalibrationError(num_classes)

    def forward(self, x):
        return self.net(x)

    def _shared(self, batch, stage):
        x, y = batch
        logits = self(x)
        loss = self.loss(logits, y)
        self.log(f"{stage}_loss", loss)
        return loss, logits, y

    def training_step(self, batch, batch_idx):
        return self._shared(batch, "train")[0]

    def validation_step(self, batch, batch_idx):
        _, logits, y = self._shared(batch, "val")
        probs = self.net.prob(logits)
        self.accuracy(probs, y)
        self.calibration(probs, y)
        self.log_dict({"val_acc": self.accuracy, "val_ece": self.calibration})

    def predict_step(self, batch, batch_idx):
        return self.net.prob(self(batch[0]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
