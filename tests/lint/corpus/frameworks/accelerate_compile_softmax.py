# case: a softmax seen through accelerator.prepare and torch.compile, on its way into CrossEntropyLoss
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import nn, optim
from torch.utils.data import DataLoader


class AudioTransformer(nn.Module):
    def __init__(self, n_mels=80, d_model=192, n_classes=35):
        super().__init__()
        self.proj = nn.Linear(n_mels, d_model)
        layer = nn.TransformerEncoderLayer(d_model, nhead=4, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=6, enable_nested_tensor=False)
        self.head = nn.Linear(d_model, n_classes)

    def forward(self, mel):
        x = self.encoder(self.proj(mel))
        pooled = x.mean(dim=1)
        return torch.softmax(self.head(pooled), dim=-1)


def training_function(config, train_set, eval_set):
    set_seed(config["seed"])
    accelerator = Accelerator(mixed_precision="bf16")
    train_loader = DataLoader(train_set, batch_size=config["batch_size"], shuffle=True, num_workers=4)
    eval_loader = DataLoader(eval_set, batch_size=config["batch_size"])

    model = torch.compile(AudioTransformer())
    optimizer = optim.AdamW(model.parameters(), lr=config["lr"])
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, config["lr"], total_steps=config["steps"])
    model, optimizer, train_loader, eval_loader, scheduler = accelerator.prepare(
        model, optimizer, train_loader, eval_loader, scheduler
    )
    loss_fn = nn.CrossEntropyLoss()

    for epoch in range(config["epochs"]):
        model.train()
        for mel, word in train_loader:
            out = model(mel)
            loss = loss_fn(out, word)  # expect: LH101
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()

        model.eval()
        correct = total = 0
        for mel, word in eval_loader:
            with torch.no_grad():
                predictions = model(mel).argmax(dim=-1)
            predictions, word = accelerator.gather_for_metrics((predictions, word))
            correct += (predictions == word).sum().item()
            total += word.numel()
        accelerator.print(f"epoch {epoch}: accuracy {correct / total:.4f}")
    accelerator.end_training()
