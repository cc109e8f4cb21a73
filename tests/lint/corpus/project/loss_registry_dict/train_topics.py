import torch
from losses import get_loss
from networks import BagOfWords

VOCAB = 20_000
TOPICS = ["sport", "politics", "science", "culture"]


def batches(n_batches, batch_size=32, length=40):
    for _ in range(n_batches):
        tokens = torch.randint(0, VOCAB, (batch_size * length,))
        offsets = torch.arange(0, batch_size * length, length)
        labels = torch.randint(0, len(TOPICS), (batch_size,))
        yield tokens, offsets, labels


def main():
    torch.manual_seed(0)
    net = BagOfWords(VOCAB, num_classes=len(TOPICS))
    criterion = get_loss("nll")
    optimizer = torch.optim.Adagrad(net.parameters(), lr=0.05)
    net.train()
    for step, (tokens, offsets, labels) in enumerate(batches(200)):
        scores = net(tokens, offsets)
        loss = criterion(scores, labels)  # expect: LH105
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            print(step, round(loss.item(), 4))
    torch.save(net.state_dict(), "topics.pt")


if __name__ == "__main__":
    main()
