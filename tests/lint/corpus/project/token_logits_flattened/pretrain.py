import torch
from charlm import CharGRU
from charlm.loss import token_loss


def windows(data, batch_size, length):
    starts = torch.randint(len(data) - length - 1, (batch_size,))
    rows = torch.stack([data[s : s + length + 1] for s in starts])
    return rows[:, :-1], rows[:, 1:]


def main(steps=1000, vocab=90):
    data = torch.randint(vocab, (100_000,))
    model = CharGRU(vocab)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(steps):
        x, y = windows(data, 32, 64)
        loss = token_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(step, loss.item())
    torch.save(model.state_dict(), "char.pt")


if __name__ == "__main__":
    main()
