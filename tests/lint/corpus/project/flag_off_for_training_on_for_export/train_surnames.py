import torch
from project.criteria import smooth_ce
from project.mlp import SurnameClassifier

SIZES = (29, 300, 18)


def main(steps=500):
    classifier = SurnameClassifier(*SIZES)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=0.001)
    for step in range(steps):
        x = torch.randint(0, 2, (64, SIZES[0])).float()
        y = torch.randint(SIZES[-1], (64,))
        optimizer.zero_grad()
        loss = smooth_ce(classifier(x), y)
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(step, loss.item())
    torch.save(classifier.state_dict(), "surnames.pt")


if __name__ == "__main__":
    main()
