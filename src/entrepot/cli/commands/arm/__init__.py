"""The commands of `az` for what Azure Resource Manager holds, as far as this server has it."""
