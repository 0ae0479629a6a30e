"""The words of the page that `puppet-train report` writes: each in English and in French."""

WORDS: dict[str, tuple[str, str]] = {
    "decimal": (".", ","),
    "percent": ("%", "\u00a0%"),
    "title": ("Report on the model", "Rapport sur le modèle"),
    "version": ("version", "version"),
    "what": (
        "A text classifier: it reads a support ticket and answers with one of {categories} categories and how sure it "
        "is. A GRU and a linear part decide together; both learnt from {tickets} labelled tickets and from nothing "
        "else.",
        "Un classifieur de texte\u00a0: il lit un ticket de support et répond par une de {categories} catégories, avec "
        "sa confiance. Un GRU et une partie linéaire décident ensemble\u00a0; les deux ont appris de {tickets} tickets "
        "étiquetés, et de rien d’autre.",
    ),
    "vectors": (
        "{number} of its words came with pretrained vectors.",
        "{number} de ses mots sont venus avec des vecteurs préentraînés.",
    ),
    "unlabelled": (
        "It also learnt from {taken} of {number} tickets that had no category.",
        "Il a aussi appris de {taken} des {number} tickets sans catégorie.",
    ),
    "on_test": ("Measured on {tickets} tickets of {file}.", "Mesuré sur {tickets} tickets de {file}."),
    "on_validation": (
        "Measured on the {tickets} validation tickets, by networks that were not trained on them.",
        "Mesuré sur les {tickets} tickets de validation, par des réseaux qui ne les ont pas appris.",
    ),
    "started": (
        "It learnt {number} new tickets on top of version {version}; the validation tickets are of these alone.",
        "Elle a appris {number} nouveaux tickets par-dessus la version {version}\u00a0; les tickets de validation en "
        "font tous partie.",
    ),
    "rule_kept": (
        "They are too few to calibrate by: temperature and threshold are those of version {version}.",
        "Ils sont trop peu pour calibrer\u00a0: la température et le seuil sont ceux de la version {version}.",
    ),
    "without_text": (
        "without the text: always {category} {share}, chance {chance}",
        "sans le texte\u00a0: toujours {category} {share}, hasard {chance}",
    ),
    "no_signal": (
        "The categories do not follow from the text, so its answers are about chance: look at the data with "
        "puppet-train inspect.",
        "Les catégories ne découlent pas du texte, donc ses réponses valent à peu près le hasard\u00a0: regarder les "
        "données avec puppet-train inspect.",
    ),
    "learnt": (
        "It has learnt from {number} more tickets of this file, which are left out of the figures below; on these its "
        "accuracy is {accuracy}, which says nothing of others.",
        "Il a appris de {number} autres tickets de ce fichier, écartés des chiffres ci-dessous\u00a0; sur ceux-là son "
        "exactitude est de {accuracy}, ce qui ne dit rien des autres.",
    ),
    "all_learnt": (
        "It has learnt from every ticket of this file, so the figures below say nothing of others: measure it on "
        "tickets that it was not trained on.",
        "Il a appris de tous les tickets de ce fichier, donc les chiffres ci-dessous ne disent rien des autres\u00a0: "
        "le mesurer sur des tickets dont il n’a pas appris.",
    ),
    "unknown_learnt": (
        "It is unknown which of these tickets it has learnt from, and what the figures below owe them.",
        "On ne sait pas desquels de ces tickets il a appris, ni ce que les chiffres ci-dessous leur doivent.",
    ),
    "private": (
        "This page quotes tickets of the test file: pass it only to those who may read them.",
        "Cette page cite des tickets du fichier de test\u00a0: ne la donner qu’à ceux qui peuvent les lire.",
    ),
    "summary": ("In short", "En bref"),
    "accuracy": ("Accuracy", "Exactitude"),
    "interval": ("95% interval", "intervalle à 95\u00a0%"),
    "top_k": ("Among the first {k}", "Parmi les {k} premières"),
    "macro_f1": ("Macro F1", "F1 macro"),
    "ece": ("Calibration error (ECE)", "Erreur de calibration (ECE)"),
    "brier": ("Brier score", "Score de Brier"),
    "aurc": ("Area under the risk-coverage curve:", "Aire sous la courbe risque-couverture\u00a0:"),
    "answered": ("Answered with {share} right", "Répondus avec {share} de justes"),
    "right": ("{right} of {total} right", "{right} justes sur {total}"),
    "parts": ("Both parts, and each alone", "Les deux parties, et chacune seule"),
    "parts_note": (
        "On the validation tickets. The linear part alone is the baseline: what a team would have without a neural "
        "network. Intervals that overlap prove nothing either way.",
        "Sur les tickets de validation. La partie linéaire seule est la référence\u00a0: ce qu’une équipe aurait sans "
        "réseau de neurones. Des intervalles qui se recouvrent ne prouvent rien.",
    ),
    "part": ("Classifier", "Classifieur"),
    "together": ("Both together", "Les deux ensemble"),
    "gru_alone": ("GRU alone", "GRU seul"),
    "linear": ("Linear part alone", "Partie linéaire seule"),
    "calibration": ("Can its confidence be believed?", "Peut-on croire sa confiance\u00a0?"),
    "calibration_note": (
        "Of the answers that are about 80% sure, about 80% should be right: the line should lie on the diagonal. Below "
        "it the model is too sure, above it too careful.",
        "Parmi les réponses sûres à 80\u00a0%, environ 80\u00a0% devraient être justes\u00a0: la ligne devrait suivre "
        "la diagonale. Au-dessous le modèle est trop sûr, au-dessus trop prudent.",
    ),
    "bins": ("The bins as a table", "Les intervalles en tableau"),
    "bin": ("Confidence over, up to", "Confiance au-dessus de, jusqu’à"),
    "mean_confidence": ("Mean confidence", "Confiance moyenne"),
    "perfect": ("perfect calibration", "calibration parfaite"),
    "measured": ("measured", "mesuré"),
    "confidence": ("Confidence", "Confiance"),
    "tickets": ("Tickets", "Tickets"),
    "coverage_title": ("What if only sure answers are given?", "Et si seules les réponses sûres sont données\u00a0?"),
    "coverage_note": (
        "The thresholds are read off these very tickets; on others they do a little worse.",
        "Les seuils sont lus sur ces tickets mêmes\u00a0; sur d’autres ils font un peu moins bien.",
    ),
    "coverage": ("Tickets answered", "Tickets répondus"),
    "wanted": ("Right answers wanted", "Réponses justes voulues"),
    "threshold": ("Confidence at least", "Confiance d’au moins"),
    "curve": ("The curve as a table", "La courbe en tableau"),
    "abstention": ("When does it say nothing?", "Quand se tait-il\u00a0?"),
    "abstention_note": (
        "A ticket that it is not sure enough of gets no category but a reason, and is for a person. The threshold was "
        "found on tickets that were kept out of training, so that of what it routes by itself {target} are right.",
        "Un ticket dont il n’est pas assez sûr ne reçoit pas de catégorie mais une raison, et revient à une personne. "
        "Le seuil a été trouvé sur des tickets tenus à l’écart de l’entraînement, pour que {target} de ce qu’il "
        "aiguille seul soient justes.",
    ),
    "never_sure": (
        "At no confidence are so many right, so it routes nothing by itself: give more tickets, or a lower target.",
        "À aucune confiance il n’y en a autant de justes, donc il n’aiguille rien seul\u00a0: donner plus de tickets, "
        "ou une cible plus basse.",
    ),
    "target": ("Target: right among the routed", "Cible\u00a0: justes parmi les aiguillés"),
    "tie_margin": ("The two best categories apart by at least", "Écart d’au moins entre les deux meilleures"),
    "max_unknown": ("Unknown tokens at most", "Tokens inconnus au plus"),
    "abstains": ("Abstains", "S’abstient"),
    "by_default": (
        "by default, unless a search wants a category",
        "d’office, sauf si une recherche veut une catégorie",
    ),
    "if_asked": ("only if a search asks for it", "seulement si une recherche le demande"),
    "kept_out": ("Kept out of training", "Tenus à l’écart"),
    "routed": ("Routed by itself", "Aiguillés seul"),
    "right_routed": ("Right among the routed", "Justes parmi les aiguillés"),
    "test_file": ("Test file", "Fichier de test"),
    "reasons": (
        "Why the others of the test file are not routed:",
        "Pourquoi les autres du fichier de test ne sont pas aiguillés\u00a0:",
    ),
    "reason": ("Reason", "Raison"),
    "low_confidence": ("not sure enough (low_confidence)", "pas assez sûr (low_confidence)"),
    "top_two_tie": ("one of two categories (top_two_tie)", "l’une de deux catégories (top_two_tie)"),
    "unknown_tokens": ("too many unknown tokens (unknown_tokens)", "trop de tokens inconnus (unknown_tokens)"),
    "least_routed_test": (
        "The categories that it routes least, of the test file.",
        "Les catégories qu’il aiguille le moins, dans le fichier de test.",
    ),
    "least_routed": (
        "The categories that it routes least, of the tickets kept out. Of a handful of tickets a share says little.",
        "Les catégories qu’il aiguille le moins, parmi les tickets tenus à l’écart. D’une poignée de tickets une part "
        "ne dit pas grand-chose.",
    ),
    "out_of_scope": (
        "Is it less sure of tickets of a category that it has never seen? AUROC {auroc}, where 1 is always and 0.5 the "
        "toss of a coin: tried in a quick training that left {categories} categories out, on {known} tickets of known "
        "categories and {unknown} of those left out.",
        "Est-il moins sûr de tickets d’une catégorie qu’il n’a jamais vue\u00a0? AUROC {auroc}, où 1 est toujours et "
        "0,5 pile ou face\u00a0: essayé par un entraînement rapide sans {categories} des catégories, sur {known} "
        "tickets de catégories connues et {unknown} de celles laissées de côté.",
    ),
    "confusions": ("What is taken for what", "Ce qui est pris pour quoi"),
    "none_wrong": ("No ticket was answered wrongly.", "Aucun ticket n’a reçu de réponse fausse."),
    "matrix_note": (
        "The categories with the largest confusions, those that are mixed up side by side; a row is what a ticket is, "
        "a column what it was taken for, by the number of its row. The last row and column hold all the others.",
        "Les catégories aux plus grandes confusions, celles que l’on confond côte à côte\u00a0; une ligne est ce qu’un "
        "ticket est, une colonne ce pour quoi il a été pris, par le numéro de sa ligne. La dernière ligne et la "
        "dernière colonne tiennent toutes les autres.",
    ),
    "others": ("all others", "toutes les autres"),
    "expected": ("Is", "Est"),
    "predicted": ("Taken for", "Pris pour"),
    "categories": ("Category by category", "Catégorie par catégorie"),
    "categories_note": ("Worst first.", "Les pires d’abord."),
    "category": ("Category", "Catégorie"),
    "precision": ("Precision", "Précision"),
    "recall": ("Recall", "Rappel"),
    "unknown": (
        "The model has no such category, so each of its tickets is an error.",
        "Le modèle n’a pas cette catégorie, donc chacun de ses tickets est une erreur.",
    ),
    "mistakes": ("The surest mistakes", "Les erreurs les plus sûres"),
    "mistakes_note": ("{shown} of {total}.", "{shown} sur {total}."),
    "mistakes_validation": (
        "The store keeps no text of a ticket, so only the row of the training data is named (from 0).",
        "Le magasin ne garde aucun texte de ticket, donc seule la ligne des données d’entraînement est nommée (à "
        "partir de 0).",
    ),
    "row": ("Row", "Ligne"),
    "ticket": ("Ticket", "Ticket"),
    "training_title": ("How it was trained", "Comment il a été entraîné"),
    "losses_alt": (
        "Training loss over {epochs} epochs, from {first} to {last}; the weights of epoch {best} were kept.",
        "Perte d’entraînement sur {epochs} époques, de {first} à {last}\u00a0; les poids de l’époque {best} "
        "ont été gardés.",
    ),
    "reliability_alt": (
        "Accuracy against confidence in {bins} bins; the table below has the numbers.",
        "Exactitude selon la confiance en {bins} intervalles\u00a0; le tableau ci-dessous a les nombres.",
    ),
    "coverage_alt": (
        "Accuracy against the share of tickets answered; the table below has the numbers.",
        "Exactitude selon la part de tickets répondus\u00a0; le tableau ci-dessous a les nombres.",
    ),
    "training": ("training", "entraînement"),
    "validation": ("validation", "validation"),
    "best_epoch": ("weights kept", "poids gardés"),
    "epoch": ("Epoch", "Époque"),
    "loss": ("Loss", "Perte"),
    "settings": ("Every setting", "Tous les réglages"),
    "setting": ("Setting", "Réglage"),
    "value": ("Value", "Valeur"),
    "parameters": ("Parameters", "Paramètres"),
    "seconds": ("Seconds of training", "Secondes d’entraînement"),
    "temperature": ("Temperature of the calibration", "Température de la calibration"),
    "linear_share": ("Share of the linear part", "Part de la partie linéaire"),
    "data": ("Its data", "Ses données"),
    "num_tickets": ("Labelled tickets", "Tickets étiquetés"),
    "num_train": ("To learn from", "Pour apprendre"),
    "num_validation": ("To validate", "Pour valider"),
    "num_categories": ("Categories", "Catégories"),
    "num_duplicates": ("Tickets that repeat another", "Tickets qui en répètent un autre"),
    "num_conflicts": ("Tickets under several categories", "Tickets sous plusieurs catégories"),
    "num_unlabelled": ("Tickets without a category", "Tickets sans catégorie"),
    "data_sha256": ("SHA-256 of the data", "SHA-256 des données"),
    "lineage": ("Where it comes from", "D’où il vient"),
    "created": ("Created", "Créé"),
    "job": ("Job", "Tâche"),
    "parent": ("Version that served then", "Version qui servait alors"),
    "comparison": ("Compared with it", "Comparée à elle"),
    "manifest_sha256": ("SHA-256 of the manifest", "SHA-256 du manifeste"),
    "parity": ("Graph and network differ by at most", "Graphe et réseau diffèrent d’au plus"),
    "libraries": ("Libraries", "Bibliothèques"),
}
