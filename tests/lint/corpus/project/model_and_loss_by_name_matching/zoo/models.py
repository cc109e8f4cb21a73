from torch import nn


class Linear(nn.Module):
    def __init__(self, d_in, d_out):
        super().__init__()
        self.fc = nn.Linear(d_in, d_out)

    def forward(self, x):
        return self.fc(x)


class LogLinear(Linear):
    def forward(self, x):
        return super().forward(x).log_softmax(dim=1)


def get_model(name, d_in, d_out):
    models = {"linear": Linear, "log_linear": LogLinear}
    return models[name](d_in, d_out)
