"""When to heat."""


def decide(celsius, heating, config):
    """Heat below the wanted temperature; without a reading, don't."""
    return celsius is not None and celsius < config["wanted_celsius"]
