"""What tests share: fakes, servers and models."""
