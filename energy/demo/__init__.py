"""What the people of a demonstration do: pure policies over what anybody sees on the ledger."""
