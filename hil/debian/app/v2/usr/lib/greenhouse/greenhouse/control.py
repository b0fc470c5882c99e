"""When to heat."""


def decide(celsius, heating, config):
    """Heat below the band, stop above it, go on inside it; without a reading, don't.

    The band keeps the relay from chattering around the wanted temperature.
    """
    if celsius is None:
        return False
    half = config["band_celsius"] / 2
    if celsius < config["wanted_celsius"] - half:
        return True
    if celsius > config["wanted_celsius"] + half:
        return False
    return heating
