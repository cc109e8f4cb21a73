import torch


class Trainer:
    def __init__(self, model, criterion, optimizer, device="cpu"):
        self.model = model.to(device)
        self.criterion = criterion
        self.optimizer = optimizer
        self.device = device

    def run_epoch(self, loader):
        self.model.train()
        total, count = 0.0, 0
        for inputs, targets in loader:
            inputs, targets = inputs.to(self.device), targets.to(self.device)
            self.optimizer.zero_grad()
            outputs = self.model(inputs)
            loss = self.criterion(outputs, targets)  # expect: LH101
            loss.backward()
            self.optimizer.step()
            total += loss.item() * inputs.size(0)
            count += inputs.size(0)
        return total / count

    @torch.no_grad()
    def accuracy(self, loader):
        self.model.eval()
        hits = count = 0
        for inputs, targets in loader:
            predicted = self.model(inputs.to(self.device)).argmax(dim=1).cpu()
            hits += (predicted == targets).sum().item()
            count += targets.size(0)
        return hits / count
