"""Packages that this room can do without until a user asks for what they carry."""


def not_installed(what: str, package: str, role: str) -> RuntimeError:
    """Return the error to raise where a package is not there."""
    return RuntimeError(
        f"{what} needs the package {package}, which {role}; it is not installed; "
        f"run: pip install {package}"
    )
