"""The meters of a home edge: readings in, receipts out, batches onto the ledger."""
