# case: accumulation done right: divided by hand, by counts, by accelerate, by Lightning; GAN with two losses
import lightning as L
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import nn

ACCUM = 4


def train_divided(model, loader, optimizer):
    criterion = nn.CrossEntropyLoss()
    optimizer.zero_grad()
    for i, (x, y) in enumerate(loader):
        loss = criterion(model(x), y) / ACCUM
        loss.backward()
        if (i + 1) % ACCUM == 0:
            optimizer.step()
            optimizer.zero_grad()


def train_by_tokens(model, micro_batches, optimizer):
    tokens = sum((y != -100).sum() for _, y in micro_batches)
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum")
        (loss / tokens).backward()
    optimizer.step()
    optimizer.zero_grad()


def train_scaler(model, loader, optimizer, scaler, steps=8):
    for i, (x, y) in enumerate(loader):
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y)
        loss = loss / steps
        scaler.scale(loss).backward()
        if (i + 1) % steps == 0:
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()


def train_accelerate(model, loader, optimizer):
    accelerator = Accelerator(gradient_accumulation_steps=ACCUM)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for x, y in loader:
        with accelerator.accumulate(model):
            loss = F.cross_entropy(model(x), y)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()


class Lit(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self.net(x), y)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())


def train_lightning(loader):
    trainer = L.Trainer(max_epochs=1, accumulate_grad_batches=ACCUM)
    trainer.fit(Lit(), loader)


def discriminator_step(disc, gen, real, optimizer):
    """Two terms of one loss, each with a backward of its own."""
    optimizer.zero_grad()
    bce = nn.BCEWithLogitsLoss()
    out = disc(real).view(-1)
    err_real = bce(out, torch.ones_like(out))
    err_real.backward()
    fake = gen(torch.randn(real.size(0), 16))
    out = disc(fake.detach()).view(-1)
    err_fake = bce(out, torch.zeros_like(out))
    err_fake.backward()
    optimizer.step()
    return (err_real + err_fake).item()
