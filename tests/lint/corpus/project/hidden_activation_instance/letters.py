import torch
from lib import MLP, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def main():
    x = torch.randn(2000, 16)
    letters = DataLoader(TensorDataset(x, torch.randint(26, (2000,))), batch_size=100, shuffle=True)
    model = MLP([16, 64, 64, 26], activation=nn.Sigmoid())
    trainer = Trainer(model, nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters()))
    for epoch in range(3):
        print(epoch, trainer.run_epoch(letters))

    copies = DataLoader(TensorDataset(x, x.tanh()), batch_size=100, shuffle=True)
    coder = MLP([16, 4, 16], activation=nn.Softplus(), output_activation=nn.Tanh())
    trainer = Trainer(coder, nn.MSELoss(), torch.optim.Adam(coder.parameters()))
    for epoch in range(3):
        print(epoch, trainer.run_epoch(copies))


if __name__ == "__main__":
    main()
