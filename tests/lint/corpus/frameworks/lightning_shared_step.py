# case: lightning as L: one shared step on logits; softmax only in predict_step; torchmetrics get either
import lightning as L
import torch
import torchmetrics
from torch import nn


class ImageClassifier(L.LightningModule):
    def __init__(self, backbone: nn.Module, feature_dim: int, num_classes: int, label_smoothing: float = 0.1):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(feature_dim, num_classes)
        self.criterion = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
        metrics = torchmetrics.MetricCollection(
            {
                "acc": torchmetrics.Accuracy(task="multiclass", num_classes=num_classes),
                "f1": torchmetrics.F1Score(task="multiclass", num_classes=num_classes, average="macro"),
            }
        )
        self.train_metrics = metrics.clone(prefix="train/")
        self.val_metrics = metrics.clone(prefix="val/")
        self.calibration = torchmetrics.CalibrationError(task="multiclass", num_classes=num_classes)

    def forward(self, images):
        features = self.backbone(images)
        return self.head(features.flatten(1))

    def _shared_step(self, batch, stage):
        images, labels = batch["image"], batch["label"]
        logits = self(images)
        loss = self.criterion(logits, labels)
        self.log(f"{stage}/loss", loss, batch_size=len(labels), sync_dist=stage == "val")
        return loss, logits, labels

    def training_step(self, batch, batch_idx):
        loss, logits, labels = self._shared_step(batch, "train")
        self.log_dict(self.train_metrics(logits, labels))
        return loss

    def validation_step(self, batch, batch_idx):
        _, logits, labels = self._shared_step(batch, "val")
        probs = logits.softmax(dim=-1)
        self.val_metrics.update(probs, labels)
        self.calibration.update(probs, labels)

    def on_validation_epoch_end(self):
        self.log_dict(self.val_metrics.compute())
        self.log("val/ece", self.calibration.compute())
        self.val_metrics.reset()
        self.calibration.reset()

    def predict_step(self, batch, batch_idx):
        probs = torch.softmax(self(batch["image"]), dim=-1)
        confidence, label = probs.max(dim=-1)
        return {"label": label, "confidence": confidence}

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-4, weight_decay=0.05)
