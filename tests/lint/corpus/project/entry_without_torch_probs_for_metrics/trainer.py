import torch
from sklearn.metrics import log_loss, roc_auc_score
from torch.nn import functional as F
from torch.utils.data import DataLoader


def fit(net, dataset, epochs=5, lr=0.1, batch_size=16):
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True)
    opt = torch.optim.SGD(net.parameters(), lr=lr)
    for _ in range(epochs):
        for x, y in loader:
            opt.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            opt.step()
    return net


def report(net, dataset):
    net.eval()
    probs, labels = [], []
    with torch.no_grad():
        for x, y in DataLoader(dataset, batch_size=64):
            probs.append(net.probs(x))
            labels.append(y)
    p = torch.cat(probs).numpy()
    t = torch.cat(labels).numpy()
    return {"auc": roc_auc_score(t, p, multi_class="ovr"), "log_loss": log_loss(t, p)}
