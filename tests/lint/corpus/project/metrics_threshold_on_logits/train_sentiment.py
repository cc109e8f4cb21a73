import torch
from metrics import binary_accuracy, positive_rate
from sentiment import SentimentLSTM
from torch import nn


def main(steps=100):
    model = SentimentLSTM(5000)
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(steps):
        text = torch.randint(5000, (32, 50))
        label = torch.randint(0, 2, (32,)).float()
        logits = model(text)
        loss = criterion(logits, label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            print(step, loss.item(), binary_accuracy(logits, label), positive_rate(label))


if __name__ == "__main__":
    main()
