"""Image-text contrast: cross-entropy along the rows and the columns of a similarity matrix."""

import argparse
import math

import torch
import torch.nn.functional as F
from torch import nn


class CLIP(nn.Module):
    def __init__(self, image_dim, vocab, embed_dim=16):
        super().__init__()
        self.visual = nn.Sequential(nn.Linear(image_dim, 64), nn.GELU(), nn.Linear(64, embed_dim))
        self.token_embedding = nn.EmbeddingBag(vocab, 32, mode="mean")
        self.text_projection = nn.Linear(32, embed_dim)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.2)))

    def forward(self, image, text):
        image_features = F.normalize(self.visual(image), dim=1)
        text_features = F.normalize(self.text_projection(self.token_embedding(text)), dim=1)
        logit_scale = self.logit_scale.exp()  # of a temperature, not of logits
        logits_per_image = logit_scale * image_features @ text_features.t()
        return logits_per_image, logits_per_image.t()


def clip_loss(logits_per_image, logits_per_text):
    ground_truth = torch.arange(len(logits_per_image))
    return (
        F.cross_entropy(logits_per_image, ground_truth) + F.cross_entropy(logits_per_text, ground_truth)
    ) / 2


def captioned(count, looks):
    """Five words that say what is in the picture; the picture is the sum of how they look."""
    text = torch.stack([torch.randperm(len(looks))[:5] for _ in range(count)])
    return looks[text].sum(dim=1) + 0.3 * torch.randn(count, looks.size(1)), text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=32)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    looks = torch.randn(20, 24)
    model = CLIP(24, 20)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.01)
    for step in range(70):
        image, text = captioned(args.batch_size, looks)
        optimizer.zero_grad()
        loss = clip_loss(*model(image, text))
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        if step % 20 == 0:
            print(f"step {step}: loss {loss.item():.4f}, scale {model.logit_scale.exp().item():.2f}")

    with torch.no_grad():
        image, text = captioned(64, looks)
        per_image, per_text = model(image, text)
        probs = per_image.softmax(dim=-1)
        truth = torch.arange(64)
        recall = [
            (m.topk(5, dim=1).indices == truth[:, None]).any(1).float().mean() for m in (per_image, per_text)
        ]
    print(
        f"recall@5 image to text {recall[0]:.3f}, text to image {recall[1]:.3f}, top prob {probs.max():.3f}"
    )


if __name__ == "__main__":
    main()
