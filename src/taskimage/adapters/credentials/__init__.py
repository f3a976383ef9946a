"""Credentials for registries: found where docker, containers' tools and clouds keep them, never shown."""

from taskimage.adapters.credentials.credential import Credential, Found
from taskimage.adapters.credentials.keychain import Keychain
from taskimage.adapters.credentials.login import Kept, remove_login, store_login

__all__ = ["Credential", "Found", "Kept", "Keychain", "remove_login", "store_login"]
