"""Images and captions in one space: cross-entropy over the rows and columns of similarities."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class TwoTowers(nn.Module):
    def __init__(self, image_dim=24, vocab=40, dim=12):
        super().__init__()
        self.image = nn.Sequential(nn.Linear(image_dim, 24), nn.GELU(), nn.Linear(24, dim))
        self.text = nn.EmbeddingBag(vocab, dim)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def forward(self, images, captions):
        image_features = F.normalize(self.image(images), dim=-1)
        text_features = F.normalize(self.text(captions), dim=-1)
        logits_per_image = self.logit_scale.exp() * image_features @ text_features.t()
        return logits_per_image, logits_per_image.t()


def clip_loss(logits_per_image, logits_per_text):
    labels = torch.arange(len(logits_per_image), device=logits_per_image.device)
    image_loss = F.cross_entropy(logits_per_image, labels)
    text_loss = F.cross_entropy(logits_per_text, labels)
    return (image_loss + text_loss) / 2


@torch.no_grad()
def recall_at_one(model, images, captions):
    model.eval()
    logits_per_image, _ = model(images, captions)
    best = logits_per_image.argmax(dim=1)
    return (best == torch.arange(len(images))).float().mean().item()


@torch.no_grad()
def zero_shot(model, images, class_captions):
    model.eval()
    logits_per_image, _ = model(images, class_captions)
    return logits_per_image.softmax(dim=-1)


def main():
    torch.manual_seed(0)
    captions = torch.randint(40, (20, 6))
    images = F.one_hot(captions, 40).sum(dim=1).float() @ torch.randn(40, 24)
    model = TwoTowers()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    for epoch in range(3):
        model.train()
        for rows in torch.randperm(20).split(10):
            loss = clip_loss(*model(images[rows], captions[rows]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"{epoch} loss {loss.item():.6f} recall {recall_at_one(model, images, captions):.4f}")
    probs = zero_shot(model, images[:4], captions[:5])
    print(f"sure {probs.amax(dim=-1).mean().item():.6f}")


if __name__ == "__main__":
    main()
