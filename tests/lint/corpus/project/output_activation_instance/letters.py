import torch
from lib import MLP, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def main():
    data = TensorDataset(torch.randn(2000, 16), torch.randint(26, (2000,)))
    loader = DataLoader(data, batch_size=100, shuffle=True)
    model = MLP([16, 64, 64, 26], activation=nn.Tanh(), output_activation=nn.Softmax(dim=1))
    trainer = Trainer(model, nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters()))
    for epoch in range(10):
        print(epoch, trainer.run_epoch(loader), trainer.accuracy(loader))


if __name__ == "__main__":
    main()
