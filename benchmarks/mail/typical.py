"""Mails as support teams get them, in size and kind: what reading one costs is what a server pays all day."""

_HEAD = (
    "".join(
        f"Received: from mx{hop}.example.org (mx{hop}.example.org [192.0.2.{hop}]) by mail.example.org; "
        f"Tue, 12 Mar 2024 10:12:0{hop} +0100\n"
        for hop in range(6)
    )
    + f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=s1; b={'A' * 300}\n"
    "From: Camille Renard <camille.renard@example.org>\nTo: support@example.org\n"
    "Date: Tue, 12 Mar 2024 10:12:00 +0100\n"
    "Message-ID: <a1@example.org>\nMIME-Version: 1.0\n"
)
_REPLY = _HEAD + "Subject: Re: Panne du VPN\nIn-Reply-To: <q7@example.org>\nReferences: <q7@example.org>\n"
_PLAIN = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
_HTML = "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
_OWN = """Bonjour,

Depuis la mise à jour de lundi, le VPN se coupe toutes les dix minutes sur mon portable.
J'ai redémarré le poste deux fois et essayé le câble, rien n'y fait.
Le message affiché est « connexion perdue, code 812 ».

Pouvez-vous regarder avant jeudi ? Je dois envoyer les comptes du mois.

Merci d'avance,

Cordialement,
Camille Renard
Responsable des achats
Société Exemple
Tél. 02 00 00 00 00
"""
_NOTICE = """
Ce message et ses pièces jointes sont confidentiels et destinés à l'usage exclusif du destinataire.
Si vous l'avez reçu par erreur, merci de le détruire et d'en avertir l'expéditeur.
"""
_ATTRIBUTION = "\nLe lun. 11 mars 2024 à 17:40, Support Exemple <support@example.org> a écrit :\n\n"
_QUOTED = "\n".join(f"> {line}" for line in (_OWN * 2).split("\n"))


def _word(text: str) -> str:
    """Return lines as Word writes them for Outlook."""
    style = 'style="font-size:11.0pt;font-family:&quot;Calibri&quot;,sans-serif"'
    return "".join(
        f'<p class="MsoNormal"><span {style}>{line or "&nbsp;"}<o:p></o:p></span></p>\n' for line in text.split("\n")
    )


_STYLE = "".join(f"p.Mso{number} {{margin:0cm; font-size:11.0pt; font-family:Calibri;}}\n" for number in range(90))
_OUTLOOK = (
    f"<html><head><style><!--\n{_STYLE}--></style></head><body lang=FR><div class=WordSection1>{_word(_OWN)}"
    '<div><div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm"><p class="MsoNormal">'
    "<b>De&nbsp;:</b> Support &lt;support@example.org&gt; <br><b>Envoyé&nbsp;:</b> lundi 11 mars 2024 17:40<br>"
    f"<b>À&nbsp;:</b> Camille Renard<br><b>Objet&nbsp;:</b> Panne</p></div></div>{_word(_OWN * 2)}</div></body></html>"
)
_BREAK = "<br>"
_GMAIL = (
    "<div dir=ltr>" + "".join(f"<div>{line or _BREAK}</div>" for line in _OWN.split("\n")) + "</div><br>"
    '<div class="gmail_quote"><div dir="ltr" class="gmail_attr">Le lun. 11 mars 2024 à 17:40, Support &lt;'
    '<a href="mailto:support@example.org">support@example.org</a>&gt; a écrit :<br></div>'
    '<blockquote class="gmail_quote" '
    f'style="margin:0 0 0 .8ex;border-left:1px solid #ccc">{_BREAK.join((_OWN * 2).split(chr(10)))}</blockquote></div>'
)

TYPICAL = {
    "plain, new": _HEAD + "Subject: Panne du VPN\n" + _PLAIN + _OWN,
    "plain, a reply with a notice": _REPLY + _PLAIN + _OWN + _NOTICE + _ATTRIBUTION + _QUOTED,
    "both, Gmail": _REPLY
    + "Content-Type: multipart/alternative; boundary=b\n\n--b\n"
    + f"{_PLAIN}{_OWN}{_ATTRIBUTION}{_QUOTED}\n--b\n{_HTML}{_GMAIL}\n--b--\n",
    "HTML, Gmail": _REPLY + _HTML + _GMAIL,
    "HTML, Outlook": _REPLY + _HTML + _OUTLOOK,
}
