import torch
from gestures import GestureGRU
from smoothing import ScheduledCrossEntropy


def stream(n_batches):
    for _ in range(n_batches):
        yield torch.randn(64, 50, 9), torch.randint(0, 6, (64, 1))


model = GestureGRU(n_sensors=9, n_gestures=6)
loss_function = ScheduledCrossEntropy(start=0.2)
optimizer = torch.optim.Adam(model.parameters())

for epoch in range(20):
    model.train()
    for windows, gestures in stream(100):
        optimizer.zero_grad()
        outputs = model(windows)
        loss = loss_function(outputs, gestures)  # allow: LH101
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    loss_function.step()
    print(f"epoch {epoch}: {loss.item():.4f}")
