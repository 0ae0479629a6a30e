"""Synthetic French support tickets, already tokenised: a toy data set that anyone can make again.

The data is invented. No ticket, person or company in it exists, and no accuracy claim rests on it: a score on these
tickets says that the program learns, not how well it would do at a real support desk.

In: a number of tickets and a seed. Out: (category, tokens) pairs shaped like a real desk's export: lemmas without most
stop words, masked values (`<NAME>`), multi-word tokens ("mot de passe"), names nobody has seen, typos. Splitting and
encoding the tickets is left to the rest of the trainer.

How one ticket is made, and why:

1. Draw a category by its weight, from 20 down to 2, because classes are uneven at real desks.
2. Draw a cast (two people, a company) so that an invented name comes back within its ticket and hardly ever elsewhere.
3. Write one to five phrases of that category. A phrase is a tiny grammar, read by `_expand`:
       a|b             one of them                    x?      half of the time, nothing
       mot_de_passe    one token, `_` is its space    @doc    the phrase WORDS["@doc"], or one of the cast
4. Often write as much about a neighbouring category. This is the honest ambiguity of the set: no label is flipped, the
   text does speak of both. Either a link word marks the second topic as the cause ("suite", "depuis"): a model that
   reads word order can tell it from the request, a bag of words cannot. Or both are requests ("aussi", in any order):
   whoever reads it can only guess, so about half of EQUAL_RATE is lost to a perfect model too.
5. Wrap it in small talk that all categories share, lose a few words, misspell a few others.

Only `Random.random` is called: Python promises that its sequence never changes, and promises nothing of the kind for
`choice` or `shuffle` (docs.python.org/3/library/random.html, "Notes on Reproducibility").
"""

import random
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TypeVar

Item = TypeVar("Item")

# Tuned so that TF-IDF with a linear SVM gets about 90 % on held-out tickets (2,400 to learn from, 600 to test):
# enough mistakes to fill a report, few enough to see learning.
CAUSE_RATE = 0.10  # tickets where the second topic is the cause of the first
EQUAL_RATE = 0.06  # tickets with two requests of equal rank
OPENING_RATE, MIDDLE_RATE, CLOSING_RATE = 0.6, 0.5, 0.6  # small talk before, inside (repeated), after (repeated)
DROP_RATE = 0.04  # words lost on the way
TYPO_RATE = 0.03  # words misspelt
MIN_TOKENS, MAX_TOKENS = 4, 60

# Category: its weight, and the neighbours its tickets may also speak of. Neighbours are mutual: if only one of the two
# could be the second topic, the pair would give the answer away.
CATEGORIES: dict[str, tuple[int, tuple[str, ...]]] = {
    "Problème de connexion": (20, ("Accès utilisateur", "Application mobile", "Lenteur", "Notification par mail")),
    "Accès utilisateur": (18, ("Problème de connexion", "Création de client", "Paramétrage")),
    "Création de client": (15, ("Accès utilisateur", "Facturation", "Import de données", "Formation")),
    "Facturation": (12, ("Résiliation", "Création de client", "Export de données")),
    "Paramétrage": (10, ("Accès utilisateur", "Notification par mail", "Formation")),
    "Import de données": (9, ("Export de données", "Création de client", "Dépôt de document")),
    "Export de données": (8, ("Import de données", "Facturation", "Bug d'affichage", "Résiliation")),
    "Signature électronique": (8, ("Dépôt de document", "Notification par mail")),
    "Lenteur": (6, ("Problème de connexion", "Bug d'affichage")),
    "Bug d'affichage": (6, ("Lenteur", "Export de données", "Application mobile")),
    "Notification par mail": (5, ("Paramétrage", "Signature électronique", "Problème de connexion")),
    "Dépôt de document": (5, ("Signature électronique", "Import de données", "Application mobile")),
    "Application mobile": (4, ("Problème de connexion", "Dépôt de document", "Bug d'affichage")),
    "Formation": (3, ("Paramétrage", "Création de client")),
    "Résiliation": (2, ("Facturation", "Export de données")),
}

PHRASES: dict[str, tuple[str, ...]] = {
    "Problème de connexion": (
        "avoir|rencontrer|signaler problème|souci|difficulté connexion|authentification <PRODUCT>",
        "arriver|pouvoir|réussir plus connecter|reconnecter|identifier|authentifier <PRODUCT>? @when?",
        "mot_de_passe|identifiant|login|code refuser|incorrect|invalide|expirer|perdre|oublier",
        "demander|vouloir réinitialiser|renouveler|changer mot_de_passe @person?",
        "page|écran connexion|login tourner|blanc|boucle|recharger @browser",
        "double_authentification|code_sms|code_de_vérification jamais? recevoir|arriver|fonctionner",
        "déconnecter|éjecter tout_le_temps|sans_cesse|toutes_les <NUM>? minute",
        "lien activation|connexion|réinitialisation expirer|mort|périmer",
        "vider cache|cookie|historique essayer|tester navigation_privée @browser toujours? pareil|meme_résultat",
        "depuis extranet|vpn|portail|bureau_distant|télétravail connexion impossible|refuser|échouer",
        "accéder|entrer plus espace|compte|portail @error?",
    ),
    "Accès utilisateur": (
        "souhaiter|vouloir|pouvoir ajouter|rajouter|créer utilisateur|collaborateur|accès @person @person?",
        "donner|ouvrir|attribuer|octroyer droit|accès|habilitation @person @vault",
        "supprimer|retirer|désactiver|couper accès|droit|utilisateur @person partir|quitter cabinet|société?",
        "modifier|changer|corriger ladresse|adresse_mail|rôle|profil utilisateur @person <EMAIL>?",
        "gérer|limiter|restreindre droit|permission|visibilité utilisateur|groupe @role",
        "@person voir|visualiser|consulter plus|pas @vault @company?",
        "rattacher|associer|affecter utilisateur|compte @person @vault|banque|groupe",
        "passer|nommer @person @role|administrateur droit lecture|écriture|validation|complet",
        "accès|droit manquant|insuffisant|refuser module|menu|onglet @vault|gestion|exploitation",
        "catégorie|profil|groupe utilisateur créer|dupliquer|paramétrer droit @role",
        "accéder|entrer plus espace|compte|portail @error?",
    ),
    "Création de client": (
        "demande|souhaiter|merci création|ouverture|ajout client|dossier|compte_client @company",
        "créer|ouvrir|ajouter|initialiser nouveau|nouveaux client|dossier|société @company siret <NUM>?",
        "comme convenir|convenue mail|téléphone création client|fiche @company",
        "siret|siren|numéro_de_tva|code_ape <NUM> inconnu|manquant|refuser création|fiche client?",
        "création|reprise entreprise|société|holding|association|sci @company cabinet? <ENTREPRISE>?",
        "transmettre|envoyer|joindre kbis|statuts|lettre_de_mission|mandat|rib client @company",
        "raison_sociale|forme_juridique|adresse|date_de_clôture client @company renseigner|corriger|compléter",
        "client @company entrer|arriver|signer portefeuille|cabinet @when? ouvrir|préparer dossier|@vault",
        "client @company rattacher|associer @vault|groupe|banque",
    ),
    "Facturation": (
        "recevoir|avoir facture|avoir|relance|échéancier <NUM>? montant|total|tarif faux|erroné|incohérent|doubler",
        "demander|vouloir|obtenir duplicata|copie|détail|justificatif facture @month",
        "prélèvement|virement|paiement|règlement rejeter|doubler|refuser|effectuer @month?",
        "changer|modifier|mettre_à_jour rib|iban|coordonnées_bancaires|moyen_de_paiement|carte_bancaire",
        "avoir|remboursement|geste_commercial|remise attendre|demander|promettre @person?",
        "service_comptabilité|comptabilité réclamer|relancer facture|impayé|solde <NUM> euro?",
        "abonnement|licence|forfait facturer <NUM>? utilisateur|dossier|mois trop",
        "passer|changer facturation mensuel|annuel|trimestriel|dématérialiser",
    ),
    "Paramétrage": (
        "paramétrer|configurer|régler journal|compte|plan_comptable|exercice|règle @company?",
        "modifier|personnaliser modèle|logo|entête|pied_de_page|charte @doc|courrier",
        "activer|désactiver|cocher option|case|fonctionnalité|module menu|onglet paramètre",
        "comment|où changer|définir date_de_clôture|exercice_comptable|période|calendrier",
        "règle|circuit|niveau validation|affectation|imputation automatique ajouter|modifier|marcher",
        "numérotation|séquence|préfixe|compteur @doc changer|recommencer|décaler",
        "taux|tva|devise|unité|langue défaut|par_défaut changer|régler|paramètre",
        "paramètre|réglage|préférence enregistrer|sauvegarder pas|disparaître|revenir",
        "arborescence|classement|plan_de_classement|dossier_type @vault|cabinet organiser|renommer|configurer",
    ),
    "Import de données": (
        "importer|intégrer|charger|reprendre fichier|liste|balance|écriture @format",
        "import|intégration|chargement fichier? @format? échouer|rejeter|bloquer|planter|interrompre @error?",
        "ligne <NUM> rejeter|ignorer|invalide fichier|import|colonne",
        "reprise historique|données|antériorité ancien|autre|précédent logiciel|prestataire @company?",
        "importer|intégrer client|salarié|tiers|article|immobilisation masse|lot @format",
        "annuler|supprimer|refaire import|intégration @when?",
        "fichier trop|taille volumineux|lourd <NUM> ligne importer|découper",
        "date|montant|accent|caractère mal|faux lire|interpréter import",
        "correspondance|mapping|table compte|colonne|journal import définir|perdre",
    ),
    "Export de données": (
        "exporter|extraire|télécharger|récupérer balance|écriture|liste|données|grand_livre @format",
        "export|extraction|téléchargement vide|incomplet|tronquer|échouer|corrompre @format?",
        "fec|liasse|déclaration générer|éditer|sortir exercice|période @month?",
        "bouton|menu export|exporter rien|griser|absent|lancer",
        "fichier exporter|télécharger ouvrir|lire excel|tableur pas|impossible|accent",
        "colonne|champ|montant|date manquant|disparaître export|extraction|fichier",
        "édition|rapport|état imprimer|sortir|éditer période|mois @month?",
        "export automatique|planifier|programmé envoyer|déposer ftp|serveur|cloud pas?",
        "commissaire_aux_comptes|contrôle_fiscal|audit besoin|réclamer fec|extraction|historique",
    ),
    "Signature électronique": (
        "envoyer|lancer|relancer signature|parapheur|signer @doc @person",
        "signataire @person recevoir|voir pas|jamais demande|lien|invitation signature",
        "signature_électronique|signature échouer|bloquer|attente|refuser|invalide @doc?",
        "code_sms|otp signature|signer jamais? recevoir|expirer @person?",
        "modifier|remplacer|corriger signataire|ordre|numéro <PHONE>? @person signature",
        "annuler|supprimer|clôturer circuit|demande|enveloppe signature @doc?",
        "document|@doc signer introuvable|absent|retour @vault?",
        "jeton|crédit|quota signature épuiser|manquer|recharger",
    ),
    "Lenteur": (
        "<PRODUCT> lent|ramer|lenteur très|extrêmement? @when",
        "temps|délai chargement|réponse|ouverture long|interminable|<NUM> seconde|minute",
        "page|@screen|recherche mettre|prendre <NUM> minute|seconde charger|ouvrir|afficher",
        "lenteur|ralentissement|latence général|important|récurrent poste|cabinet|réseau",
        "tourner|mouliner|sablier|figer|geler long|minute cliquer|ouvrir @screen?",
        "saisie|validation|enregistrement ralentir|traîner|saccader collègue|équipe",
        "depuis mise_à_jour|migration|version <PRODUCT> lent|ralentir|performance",
        "serveur|plateforme|service saturer|surcharger|perturber|maintenance",
    ),
    "Bug d'affichage": (
        "affichage|écran|@screen décaler|tronquer|blanc|vide|déformer @browser?",
        "bouton|icône|menu|colonne|bandeau disparaître|invisible|superposer|cacher @screen?",
        "aperçu|vignette|visionneuse|prévisualisation @doc afficher|ouvrir pas|vide|flou",
        "zoom|résolution|double_écran|mode_sombre|police affichage petit|illisible|casser",
        "montant|total|graphique|courbe afficher|indiquer zéro|faux|double @screen",
        "page blanc|blanche|noir ouvrir|cliquer @screen|@doc",
        "fenêtre|popup|message fermer|rester|ouvrir derrière|impossible @browser?",
    ),
    "Notification par mail": (
        "recevoir|arriver plus|pas|jamais mail|notification|alerte <EMAIL>?",
        "notification|mail|relance_automatique partir|envoyer pas|double|spam|indésirable",
        "recevoir trop notification|mail|rappel désactiver|arrêter|désabonner",
        "client @company? recevoir|avoir pas mail|notification dépôt|disponible|relance",
        "changer|modifier adresse|expéditeur|destinataire notification|mail|alerte <EMAIL>?",
        "fréquence|récapitulatif|résumé quotidien|hebdomadaire notification mail",
        "rappel|alerte échéance|tâche|date notification paraître|oublier|retard",
        "mail rejeter|retourner|bounce|boîte_pleine <EMAIL> notification?",
    ),
    "Dépôt de document": (
        "déposer|envoyer|téléverser|glisser @doc|document|pièce_jointe @vault",
        "dépôt|envoi|numérisation @doc? échouer|bloquer|refuser @error?",
        "document|@doc|pièce_jointe disparaître|introuvable|effacer|mal classer @vault",
        "scanner|numériser|photo @doc illisible|flou|reconnaître pas|envers",
        "supprimer|déplacer|renommer|restaurer document|@doc @vault|corbeille",
        "taille|format|extension document|pièce_jointe refuser|limite|trop|lourd",
        "client @company? déposer|transmettre @doc|justificatif mauvais|autre @vault|dossier",
        "coffre|coffre-fort plein|espace_disque|quota document libérer|augmenter",
    ),
    "Application mobile": (
        "application|appli|app mobile? fermer|planter|crasher|ouvrir @phone",
        "installer|télécharger|mettre_à_jour application|appli @phone|store",
        "@phone|téléphone|smartphone|tablette application|appli compatible|reconnaître|refuser version",
        "photo|appareil_photo|scan application|mobile @phone envoyer|marcher|autoriser",
        "notification_push|empreinte|face_id|code_pin @phone|mobile activer|fonctionner",
        "version application|appli <NUM> @phone obsolète|bug|régression",
        "note_de_frais|kilomètre|ticket_de_caisse saisir|envoyer mobile|@phone",
        "hors_connexion|réseau|4g appli|mobile synchroniser|perdre @phone?",
    ),
    "Formation": (
        "souhaiter|demander|planifier|organiser formation|accompagnement|démonstration @role|équipe",
        "former|accompagner @person|équipe|collaborateur <PRODUCT>|module @when?",
        "inscription|inscrire|place webinaire|formation|atelier @month",
        "guide|tutoriel|documentation|support_de_formation|vidéo obtenir|trouver|utilisation",
        "date|créneau|durée|programme formation|session proposer|reporter|annuler",
        "prise_en_main|découverte|débuter <PRODUCT> expliquer|montrer fonctionnement|étape",
        "formateur|consultant @person? distance|place|sur_site intervenir|visio",
    ),
    "Résiliation": (
        "souhaiter|vouloir|confirmer résilier|arrêter|stopper abonnement|contrat|<PRODUCT>",
        "résiliation|dénonciation|fin contrat|abonnement courrier_recommandé|préavis|échéance @month",
        "cesser|cessation|liquidation|fermeture activité|société @company résilier|clôturer compte?",
        "partir|migrer concurrent|autre logiciel|prestataire résiliation|date_d'effet",
        "accusé_de_réception|confirmation|prise_en_compte résiliation attendre|recevoir",
        "reconduction|engagement|tacite_reconduction contrat annuler|refuser|contester",
        "récupérer données avant fermeture|résiliation|clôture compte|abonnement",
    ),
}

# What a phrase means by "@word": again a phrase.
WORDS: dict[str, str] = {
    "@when": "matin|hier|lundi|mardi|mercredi|jeudi|vendredi|midi|semaine_dernière|début_mois|week-end|ce_jour|@month",
    "@month": "janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre",
    "@browser": "chrome|firefox|edge|safari|opera|brave|navigateur|@device",
    "@device": "pc|mac|ordinateur|poste|portable|windows|linux|macbook|citrix|tse",
    "@phone": "iphone|android|samsung|ipad|ios|pixel|huawei|xiaomi|tablette",
    "@screen": "tableau_de_bord|page_d'accueil|menu|onglet|liste|fiche_client|balance|agenda|messagerie|planning|"
    "moteur_de_recherche|grand_livre|journal|tâche|annuaire|calendrier|synthèse|statistique",
    "@doc": "facture|relevé|contrat|devis|bulletin|bon_de_commande|liasse|bilan|attestation|rib|kbis|avenant|bail|"
    "justificatif|note_de_frais|fiche_de_paie|procès-verbal|lettre_de_mission|pouvoir|courrier",
    "@format": "csv|excel|pdf|xml|fec|txt|tableur|zip|json|ofx",
    "@role": "comptable|gestionnaire|administrateur|collaborateur|stagiaire|assistante|associé|gérant|directeur|"
    "expert-comptable|rh|alternant|auditeur|juriste|secrétaire|apprenti|chef_de_mission",
    "@vault": "coffre|coffre|dossier|espace|portail|bibliothèque|coffre_numérique|ged|classeur|@company",
    "@error": "message|code? erreur <NUM>|inconnu|inattendu|technique",
}

# Small talk, the same for every category: what a model must learn to ignore.
OPENINGS = (
    "bonjour", "bonjour @person", "ticket créer suite échange mail|mails|téléphone",
    "suite appel|échange|ticket <NUM>?", "suite demande|mail @person <COMPANY>|<ENTREPRISE>",
    "cliente|client appeler|contacter support", "relance ticket <NUM>",
    "@person cabinet|société|<COMPANY> appeler @when?", "<NAME> <PHONE> appeler", "transfert mail <EMAIL>", "bjr",
    "objet demande|urgent|question <PRODUCT>", "cher|chère support|équipe", "revenir vers vous", "re bonjour",
)  # fmt: skip
MIDDLES = (
    "tester|essayer @browser meme_résultat|pareil|rien", "avoir vérifier|contrôler|regarder @when?",
    "voir ticket <NUM>", "pouvoir aider|renseigner|débloquer", "être|devenir urgent|bloquant|gênant|pénible",
    "collègue meme|même problème", "prise_en_main|teamviewer effectuer|proposer @person",
    "capture_d'écran|pièce_jointe joindre", "savoir comment|si|quand", "incident cours résolution|analyse",
    "demander confirmation|précision @person", "expliquer|montrer procédure",
    "transmettre|escalader équipe technique|développement|niveau_2", "laisser message répondeur <PHONE>",
    "depuis @when", "client @company attendre|relancer|impatient", "@person injoignable|absent|réunion",
    "être possible|normal|prévu", "si venir arriver|reproduire", "fonctionner bien|correctement hier|avant|ailleurs",
    "@person @person @company", "<COMPANY> groupe|filiale|agence <ENTREPRISE>?",
    "garantir fonctionnement optimal @browser", "citer objet|ci-dessous", "hésiter contacter cas souci|soucis", "@mail",
    "comme convenir|convenue téléphone|mail", "aujourd'hui toujours pareil",
)  # fmt: skip
CLOSINGS = (
    "merci|remercier avance|aide|retour|réactivité", "rappeler <PHONE> <NAME>", "rappeler @person <PHONE>|@when",
    "résolu", "cordialement <NAME>|@person", "bonne|bon journée|matinée|après-midi|week-end|matiné", "cdt <NAME>",
    "attendre retour", "problème|demande résolu|traité|clos", "recontacter <NAME> mail|téléphone|<PHONE>",
    "bien ajouté|fait|vu", "bien à_vous", "<NAME> <COMPANY>|<ENTREPRISE>", "<NAME> <NAME>",
    "appel retour|manqué <NAME>?", "clôturer|fermer ticket", "orienter|oriente support|service|<NAME>",
    "<NAME> <PHONE> <EMAIL>", "disponible besoin", "mail envoyé|<EMAIL>",
)  # fmt: skip
CAUSE_LINKS = "suite|depuis|après|à_cause|suite_à|car|conséquence|lors"
EQUAL_LINKS = "aussi|également|puis|autre_question|ensuite|par_ailleurs|en_plus"

# A name is a first name, or syllables: start, perhaps middle, end.
FIRST_NAMES = (
    "lucile|emma|georges|camille|hugo|inès|karim|sophie|thierry|nadia|julien|maëlle|rémi|aurélie|fatou|yann|chloé|benoît|"
    "léa|sébastien|amélie|noé|élodie|gaël|zoé|mathis|hélène|loïc|anaïs|cédric|oumar|clémence|bastien|solène|quentin|marion"
)
STARTS = "ar|bel|bour|cou|da|del|do|dra|é|fa|fon|gar|gui|jo|ker|la|le|mar|mo|nou|o|pel|qui|ra|ro|sau|ta|tre|va|zo"
MIDDLE_SYLLABLES = "ba|be|bo|cha|co|di|du|fa|gne|la|li|lo|mi|na|no|pa|ri|ro|sa|ti|tu|va|vi"
ENDS = "rre|dot|vet|nard|lier|son|ret|tain|zot|gnon|mel|lec|ville|court|bois|tec|neau|lot|rac|mont"
LEGAL_FORMS = "sas|sarl|sasre|eurl|sci|cabinet|ets|groupe|selarl|scp"


def generate(num_tickets: int, seed: int) -> list[tuple[str, list[str]]]:
    """Return `num_tickets` synthetic tickets as (category, tokens) pairs, shuffled.

    The same seed gives the same tickets on every machine. Each ticket draws its category on its own, so the order is
    random without a shuffle, class sizes vary a little with the seed, and asking for fewer tickets gives the first of
    them. Seeds n and -n are one (`random.Random` drops the sign). A few exact duplicates occur, as they do at a real
    desk.
    """
    rng = random.Random(seed)
    return [_ticket(rng) for _ in range(num_tickets)]


def _ticket(rng: random.Random) -> tuple[str, list[str]]:
    category = pick(rng, [name for name, (weight, _) in CATEGORIES.items() for _ in range(weight)])
    words = WORDS | _cast(rng)

    # The smaller of two draws: one or two phrases are the usual case, five the exception. (Powers depend on the libm.)
    request = some(rng, PHRASES[category], 1 + int(5 * min(rng.random(), rng.random())))
    phrases = _add_neighbour(rng, category, request)
    if rng.random() < OPENING_RATE:
        phrases = [pick(rng, OPENINGS), *phrases]
    for middle in some(rng, MIDDLES, _num_repeats(rng, MIDDLE_RATE)):
        phrases.insert(1 + int(rng.random() * len(phrases)), middle)
    phrases += some(rng, CLOSINGS, _num_repeats(rng, CLOSING_RATE))

    tokens = [token for phrase in phrases for token in _expand(rng, phrase, words) if rng.random() >= DROP_RATE]
    while len(tokens) < MIN_TOKENS:
        tokens += _expand(rng, pick(rng, PHRASES[category]), words)
    return category, [misspell(rng, token) if rng.random() < TYPO_RATE else token for token in tokens[:MAX_TOKENS]]


def _add_neighbour(rng: random.Random, category: str, request: list[str]) -> list[str]:
    """Return the request, in some tickets with a topic of a neighbouring category before or after it."""
    draw, request_first = rng.random(), rng.random() < 0.5
    if draw >= CAUSE_RATE + EQUAL_RATE:
        return request
    # As many phrases as the request has: the amount must not give the answer away.
    _, neighbours = CATEGORIES[category]
    other = some(rng, PHRASES[pick(rng, neighbours)], len(request))
    if draw < CAUSE_RATE:
        link = pick(rng, CAUSE_LINKS.split("|"))  # stands before the cause, wherever the cause stands
        return [*request, link, *other] if request_first else [link, *other, *request]
    link = pick(rng, EQUAL_LINKS.split("|"))
    return [*request, link, *other] if request_first else [*other, link, *request]


def _cast(rng: random.Random) -> dict[str, str]:
    """Return who a ticket speaks of, as more entries for WORDS: some values masked, some that escaped the masking."""
    first_name, other_first_name = pick(rng, FIRST_NAMES.split("|")), pick(rng, FIRST_NAMES.split("|"))
    surname, company = _invent_name(rng), _invent_name(rng)
    domain = pick(rng, ("fr", "com", "net"))
    return {
        "@person": f"<NAME>|<NAME>|@full_name|{other_first_name}",
        "@full_name": f"{first_name} {surname}",
        "@company": f"<COMPANY>|<ENTREPRISE>|{company}|@full_company",
        "@full_company": f"{pick(rng, LEGAL_FORMS.split('|'))} {company}",
        "@mail": f"<EMAIL>|{first_name}{surname}{company}{domain}",  # addresses lose their punctuation upstream
    }


def _invent_name(rng: random.Random) -> str:
    """Return a name made of syllables, such as "couvivet"."""
    middle = pick(rng, MIDDLE_SYLLABLES.split("|")) if rng.random() < 0.7 else ""
    return pick(rng, STARTS.split("|")) + middle + pick(rng, ENDS.split("|"))


def _expand(rng: random.Random, phrase: str, words: Mapping[str, str]) -> list[str]:
    """Return the tokens of one reading of a phrase; the module docstring explains the grammar."""
    tokens: list[str] = []
    for item in phrase.split():
        if item.endswith("?") and rng.random() < 0.5:
            continue
        word = pick(rng, item.removesuffix("?").split("|"))
        tokens += _expand(rng, words[word], words) if word.startswith("@") else [word.replace("_", " ")]
    return tokens


def misspell(rng: random.Random, token: str) -> str:
    """Return the token with a letter dropped, doubled or swapped, or its accents lost; short or masked ones as is."""
    if len(token) < 5 or token.startswith("<"):
        return token
    at = 1 + int(rng.random() * (len(token) - 2))  # never the first or last letter
    if not token[at : at + 2].isalpha():
        return token  # a space doubled or moved to the end would break a multi-word token
    before, letter, after = token[:at], token[at], token[at + 1 :]
    dropped, doubled, swapped = before + after, before + 2 * letter + after, before + after[0] + letter + after[1:]
    no_accents = "".join(char for char in unicodedata.normalize("NFD", token) if not unicodedata.combining(char))
    return pick(rng, (dropped, doubled, swapped, no_accents))


def _num_repeats(rng: random.Random, rate: float) -> int:
    """Return how many times in a row a chance of `rate` comes true."""
    return 1 + _num_repeats(rng, rate) if rng.random() < rate else 0


def pick(rng: random.Random, items: Sequence[Item]) -> Item:
    """Return one of the items, each as likely; there must be one."""
    return items[int(rng.random() * len(items))]


def some(rng: random.Random, items: Sequence[Item], num_items: int) -> list[Item]:
    """Return different items in a random order, all of them if there are fewer than asked for."""
    return sorted(items, key=lambda _: rng.random())[:num_items]
