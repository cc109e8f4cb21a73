import torch
from gestures import GestureGRU
from smoothing import ScaledCrossEntropy

model = GestureGRU(n_sensors=9, n_gestures=6)
loss_function = ScaledCrossEntropy(init=2.0)
parameters = [*model.parameters(), *loss_function.parameters()]
optimizer = torch.optim.Adam(parameters)

for epoch in range(20):
    model.train()
    for _ in range(50):
        windows, gestures = torch.randn(64, 50, 9), torch.randint(0, 6, (64, 1))
        optimizer.zero_grad()
        loss = loss_function(model(windows), gestures)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print(epoch, loss.item(), model.confidence(windows).mean().item())
