"""Parts of networks. They import torch when they are imported, so metrics import them where they run."""
