"""What files say: configuration, layout of a data folder, genesis, wallets at rest."""
