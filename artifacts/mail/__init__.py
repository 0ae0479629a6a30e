"""From the bytes of an e-mail to the text that its author wrote."""

from artifacts.mail.message import read_mail

__all__ = ["read_mail"]
