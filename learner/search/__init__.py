"""What search learns from clicks: how much words, meaning and the shopper count."""
