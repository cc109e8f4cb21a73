# case: multilabel X-ray DenseNet; F1 at 0.5 of outputs trained with BCE-with-logits, no sigmoid between
import argparse

import torch
import torch.nn as nn
import torchvision

PATHOLOGIES = ["Atelectasis", "Effusion", "Mass", "Nodule", "Pneumonia", "Edema"]


class DenseNet121(nn.Module):
    def __init__(self, out_size):
        super(DenseNet121, self).__init__()
        self.densenet121 = torchvision.models.densenet121(weights=None)
        num_ftrs = self.densenet121.classifier.in_features
        self.densenet121.classifier = nn.Linear(num_ftrs, out_size)

    def forward(self, x):
        x = self.densenet121(x)
        return x


def f1_per_class(pred, gt):
    tp = (pred * gt).sum(0).float()
    precision = tp / pred.sum(0).clamp(min=1)
    recall = tp / gt.sum(0).clamp(min=1)
    return 2 * precision * recall / (precision + recall).clamp(min=1e-8)


def main(args, train_loader, val_loader):
    model = nn.DataParallel(DenseNet121(len(PATHOLOGIES))).to(args.device)
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), args.lr, betas=(0.9, 0.999))
    for epoch in range(args.epochs):
        model.train()
        for images, labels in train_loader:
            loss = criterion(model(images.to(args.device)), labels.to(args.device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        model.eval()
        all_pred, all_gt = [], []
        with torch.no_grad():
            for images, labels in val_loader:
                outputs = model(images.to(args.device))
                all_pred.append((outputs.cpu() > 0.5).int())  # expect: LH113
                all_gt.append(labels.int())
        scores = f1_per_class(torch.cat(all_pred), torch.cat(all_gt))
        for name, score in zip(PATHOLOGIES, scores):
            print("The F1 of {} is {:.3f}".format(name, score))


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("--lr", type=float, default=1e-4)
    p.add_argument("--epochs", type=int, default=10)
    p.add_argument("--device", default="cuda:0")
    return p.parse_args()


if __name__ == "__main__":
    fake = [(torch.rand(2, 3, 64, 64), torch.randint(0, 2, (2, 6)).float())]
    main(parse(), fake, fake)
