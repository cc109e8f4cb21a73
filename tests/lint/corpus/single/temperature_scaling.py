# case: calibration by temperature; scaled logits into cross-entropy, ECE from their softmax
import torch
from torch import nn, optim
from torch.nn import functional as F


class ModelWithTemperature(nn.Module):
    def __init__(self, model):
        super(ModelWithTemperature, self).__init__()
        self.model = model
        self.temperature = nn.Parameter(torch.ones(1) * 1.5)

    def forward(self, input):
        logits = self.model(input)
        return self.temperature_scale(logits)

    def temperature_scale(self, logits):
        temperature = self.temperature.unsqueeze(1).expand(logits.size(0), logits.size(1))
        return logits / temperature

    def set_temperature(self, valid_loader):
        nll_criterion = nn.CrossEntropyLoss()
        ece_criterion = ECELoss()
        logits_list = []
        labels_list = []
        with torch.no_grad():
            for input, label in valid_loader:
                logits_list.append(self.model(input))
                labels_list.append(label)
            logits = torch.cat(logits_list)
            labels = torch.cat(labels_list)
        before = nll_criterion(logits, labels).item(), ece_criterion(logits, labels).item()
        optimizer = optim.LBFGS([self.temperature], lr=0.01, max_iter=50)

        def closure():
            optimizer.zero_grad()
            loss = nll_criterion(self.temperature_scale(logits), labels)
            loss.backward()
            return loss

        optimizer.step(closure)
        scaled = self.temperature_scale(logits)
        after = nll_criterion(scaled, labels).item(), ece_criterion(scaled, labels).item()
        print("before %s, after %s, temperature %.3f" % (before, after, self.temperature.item()))
        return self


class ECELoss(nn.Module):
    def __init__(self, n_bins=15):
        super(ECELoss, self).__init__()
        edges = torch.linspace(0, 1, n_bins + 1)
        self.lowers, self.uppers = edges[:-1], edges[1:]

    def forward(self, logits, labels):
        softmaxes = F.softmax(logits, dim=1)
        confidences, predictions = torch.max(softmaxes, 1)
        accuracies = predictions.eq(labels)
        ece = torch.zeros(1)
        for lo, hi in zip(self.lowers, self.uppers):
            in_bin = confidences.gt(lo.item()) * confidences.le(hi.item())
            if in_bin.any():
                gap = confidences[in_bin].mean() - accuracies[in_bin].float().mean()
                ece += gap.abs() * in_bin.float().mean()
        return ece


if __name__ == "__main__":
    base = nn.Sequential(nn.Linear(5, 50), nn.ReLU(), nn.Linear(50, 10)).eval()
    loader = [(3 * torch.randn(40, 5), torch.randint(0, 10, (40,))) for _ in range(5)]
    ModelWithTemperature(base).set_temperature(loader)
