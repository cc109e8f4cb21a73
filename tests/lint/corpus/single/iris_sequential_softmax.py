# case: iris notebook turned script, nn.Sequential that ends in nn.Softmax, a global criterion
import torch
import torch.nn as nn

# In[1]:
X = torch.randn(150, 4)
y = torch.randint(0, 3, (150,))
X_train, X_test = X[:120], X[120:]
y_train, y_test = y[:120], y[120:]

# In[2]:
model = nn.Sequential(
    nn.Linear(4, 16),
    nn.ReLU(),
    nn.Linear(16, 12),
    nn.ReLU(),
    nn.Linear(12, 3),
    nn.Softmax(dim=1),
)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

# In[3]:
losses = []
for epoch in range(100):
    y_hat = model(X_train)
    loss = criterion(y_hat, y_train)  # expect: LH101
    losses.append(loss.item())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if epoch % 10 == 9:
        print(f"epoch {epoch + 1:3d}  loss {loss.item():.4f}")

# In[4]:
with torch.no_grad():
    preds = model(X_test)
    val_loss = criterion(preds, y_test)  # expect: LH101
    acc = (preds.argmax(1) == y_test).float().mean()
print("val loss", val_loss.item(), "acc", acc.item())
