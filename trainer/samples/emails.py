"""Synthetic French e-mails in five categories: a toy data set that anyone can make again.

The mails are invented, as the tickets of `synthetic.py` are, and so are the people, shops and addresses in them; only
social networks and a few large firms have their real names. No accuracy claim rests on it: a score on these mails says
that the program learns, not how well it would do on a real inbox.

In: a number of mails and a seed. Out: (category, subject, body) triples. Writing them as files is left to the command
line and to `messages.py`.

How one mail is made, and why:

1. Draw a category by its weight; an inbox is a little uneven.
2. Write one to four sentences of that category, each from another pattern. A pattern is a tiny grammar, read by
   `expand`:
       {a|b}    one of them; `{|very }` is sometimes nothing        <day>    the pattern WORDS["day"]
3. In some mails of several sentences, let one be of a neighbouring category: a social network does announce
   promotions, and a colleague does write of dinner. This is the honest ambiguity of the set; no label is flipped.
4. Put a greeting before and a closing after, sometimes; a subject line that is sometimes vague ("Important").
5. Set it as people do: curved apostrophes and no-break spaces in some mails, straight ones in others, a rare typo.
6. Throw the mail away, and draw another of that category, if it comes near one of the three sentences in HELD_OUT.

Why step 6. The document this project began with asks a trained model for the category of three sentences. They are a
test, and a test must not be in the training data: a model that has read the answer proves nothing by giving it. So
neither the sentences nor anything close to them may be in a sample. A mail is near a held-out sentence if

- subject and body together hold more than half of its distinct words, or
- one sentence or line takes more than half of its own distinct words from it, and at least three;

accents count in one comparison and not in another, and a typo hides nothing. The words themselves ("Facebook", "prix",
"famille") are ordinary French and stay; what a model learns about them it learns from other sentences. The first rule
also costs a few innocent mails, because half of the words are "vous", "pour", "de" and their like.

Only `Random.random` is called, as in `synthetic.py` and for the same reason.
"""

import random
import re
import unicodedata

from trainer.samples.synthetic import misspell, pick, some

HELD_OUT = (
    "Rejoignez-moi sur Facebook pour voir mes photos de vacances.",
    "Vous avez été sélectionné pour recevoir un prix spécial !",
    "Préparez-vous pour le dîner de famille de ce soir.",
)

MAX_SENTENCES = 4
GREETING_RATE, CLOSING_RATE = 0.55, 0.5
VAGUE_RATE = 0.2  # subject lines that could stand over any mail
NEIGHBOUR_RATE = 0.1  # mails of two sentences and more with one of a neighbouring category
NEIGHBOUR_SUBJECT_RATE = 0.4  # of those mails, the ones whose subject line is about that sentence
SMALL_TALK_RATE = 0.15  # mails with a sentence that could stand in any mail
EMOJI_RATE = 0.04
CURVED_RATE = 0.5  # mails set with curved apostrophes and no-break spaces
TYPO_RATE = 0.004  # words misspelt

# Category: its weight, and the neighbours that its mails may also speak of.
CATEGORIES: dict[str, tuple[int, tuple[str, ...]]] = {
    "travail": (23, ("famille", "réseaux sociaux")),
    "promotions": (22, ("spam", "réseaux sociaux")),
    "spam": (20, ("promotions",)),
    "famille": (18, ("travail",)),
    "réseaux sociaux": (17, ("promotions", "famille")),
}


def _lines(block: str) -> tuple[str, ...]:
    """Return the lines of a block, one pattern each; so French text stands here without quotes and escapes."""
    return tuple(block.strip().split("\n"))


SENTENCES: dict[str, tuple[str, ...]] = {
    "réseaux sociaux": _lines("""
Invitation à vous connecter sur <network>.
<person> {vous invite|t'invite} à rejoindre {son réseau|le groupe <group>} sur <network>.
<person> {souhaite|aimerait} vous ajouter à {son réseau|son réseau professionnel|ses contacts} sur <network>.
{Vous avez|Tu as} <few> {nouvelles notifications|nouveaux messages|demandes d'amis} sur <network>.
<person> a {commenté|aimé|partagé} {votre|ta} {publication|photo|vidéo|story}.
<person> {vous |t'}a {identifié|mentionné|tagué} dans {une publication|un commentaire|une photo|une story}.
<few> personnes ont {consulté|vu|visité} votre profil {cette semaine|hier|en <month>}.
<person> a {publié|mis en ligne|ajouté} {une nouvelle vidéo|<few> photos|un album|une story} {de <topic>|}.
{Abonne-toi|Abonnez-vous} à ma chaîne {<network>|} {, c'est gratuit|pour ne rien rater|} !
Suis-moi sur <network>, je {poste|partage} {<topic>|mon quotidien|des astuces} {chaque jour|tous les <day>s}.
Suivez {notre page|notre compte|l'actualité} sur <network> et {partagez|commentez|likez} nos publications.
{Je viens de créer|J'ai créé} {ma page|mon compte|mon profil} <network>, {viens|venez} {y faire un tour|jeter un œil} !
Retrouvez {nos coulisses|nos vidéos|nos stories|toutes mes photos} sur <network> {et Instagram|}.
Mes {photos|vidéos|selfies} {de <city>|du concert|du voyage|du mariage} sont {en ligne|publiées} sur <network>.
{L'album|La story|Le reel} « {Été à <city>|Voyage en <country>|Vacances <year>} » a reçu <many> mentions J'aime.
{Votre|Ta} publication {a dépassé|a atteint|approche} les <many> {vues|likes|partages} !
Connaissez-vous <person> ? Vous avez <few> relations en commun.
<person> a accepté {votre invitation|votre demande de contact|ton invitation} {, dites-lui bonjour|}.
{Ajoute-moi|Ajoutez-moi} {comme ami|à tes amis|en contact} sur <network>, mon pseudo est <nick>.
Tu peux me {retrouver|suivre|contacter} sur <network> sous le pseudo <nick>.
{Clique|Cliquez} sur le lien {de|dans} ma bio : <link>
{Le groupe|La communauté} « <group> » compte {maintenant|désormais} <many> membres.
{Nouveau sondage|Nouvelle discussion|Nouveau post} dans le groupe « <group> » : {donnez votre avis|participez} !
<person> {est en direct|vient de lancer un live|démarre une diffusion} sur <network>.
{Rendez-vous|On se retrouve} {<day>|demain} à <hour> pour un live sur <network> !
{Votre compte|Ton compte} <network> a été {créé|mis à jour|vérifié} {avec succès|} le <date>.
Une nouvelle connexion à {votre|ton} compte <network> a été {détectée|remarquée} {à <city>|depuis un iPhone}.
Voici {le code|votre code} de confirmation {pour|de} votre profil <network> : <code>.
Complétez votre profil {et ajoutez une photo|} pour {attirer plus d'abonnés|élargir votre réseau}.
Félicitez <person> pour {son nouveau poste|ses <few> ans d'expérience|sa promotion} chez <company> !
Les recruteurs {regardent|consultent} {votre profil|votre page} : {mettez à jour|complétez} vos compétences.
<person> recommande vos compétences en <skill>.
{Souhaitez|N'oublie pas de souhaiter} un joyeux anniversaire à <person> sur <network> !
{Découvrez|Voici} les {publications|tendances|vidéos} {qui font parler|que vous avez manquées|du moment}.
{Le hashtag|Le mot-clé} #<tag> {fait le buzz|est en tendance|explose} {aujourd'hui|sur <network>}.
Partage {tes plus belles photos|ta meilleure recette|ton look du jour} avec le hashtag #<tag>.
{Tague|Mentionne} {trois amis|ton binôme|un ami} en commentaire et {partage|repartage} {cette story|ce post} !
{Tu as gagné|Vous avez gagné} <few> {abonnés|followers} {depuis hier|cette semaine}.
Votre abonnement à la page « <group> » est {confirmé|actif} : {bienvenue|bonne lecture}.
<person> {a rejoint|utilise désormais} <network> : {dites-lui bonjour|envoyez-lui un message}.
{Rejoignez|Rejoins} {la communauté|la discussion|notre serveur Discord|le canal} « <group> » : <link>
{Rejoins-nous|Retrouve-nous} sur <network>, {on y parle|on y discute} de <topic>.
{J'ai quitté|Fini} <network> : je {suis|poste} maintenant sur <network>.
T'as vu {la dernière vidéo|le dernier post|la story} de <person> ? {Trop drôle|J'adore|Ça buzze} !
{Like|Partage|Retweete} si tu {es d'accord|aimes <topic>|te reconnais} !
Votre photo de profil a {changé|reçu <few> réactions|plu à <few> personnes}.
<person> vous a envoyé {un message privé|une invitation à un événement|une demande de suivi}.
<few> amis participent à l'événement « <event> » {près de chez vous|à <city>} {<day>|}.
{Mettez à jour|Vérifiez} vos {paramètres de confidentialité|préférences de notification} sur <network>.
Tes souvenirs d'il y a <few> ans : {revois|partage} {tes photos|cette publication} avec tes amis.
Notre {marque|association|club|école} est {enfin|maintenant} sur <network> : {abonnez-vous|suivez-nous} !
{Jeu concours|Concours} sur notre page <network> : {commentez|partagez} le post avant <day>.
Le {réseau|site} <network> lance {les messages vocaux|les sous-titres|un nouveau fil d'actualité}.
{Les abonnés|Les membres} de « <group> » {ont partagé|ont posté} <few> {photos|liens|vidéos} {aujourd'hui|}.
Votre récapitulatif {hebdomadaire|mensuel} : <few> nouveaux abonnés, <many> vues, <few> commentaires.
{Je t'ai envoyé|T'ai envoyé} une demande d'ami {hier|ce matin}, {tu l'as vue|accepte-la} ?
Je {cherche|recrute} {des modérateurs|des admins} pour {le groupe|la page} « <group> », {intéressé|partant} ?
<person> et <few> autres personnes {suivent|aiment} {désormais|} votre page.
{Enregistre|Épingle} {ce tuto|cette recette|ce tableau} sur <network> {pour plus tard|}.
Le post de <person> {vous |t'}intéressera : « <topic> : {mon avis|mes conseils|ce que j'ai appris} ».
Votre réseau s'agrandit : {<person> et <person> font|<few> collègues font} partie de vos suggestions.
Ton streak {Snapchat|} avec <person> {va expirer|expire bientôt}, envoie un snap !
{Répondez|Réponds} au commentaire de <person> {sur votre photo|sous ta vidéo}.
Bienvenue sur <network> ! {Trouvez|Ajoutez} vos amis et {commencez à partager|suivez vos passions}.
Une vidéo de {vos vacances|tes vacances|notre soirée} {a été partagée|circule} sur <network>.
{Ton|Votre} tweet a été {partagé|retweeté|cité} <few> fois {par des inconnus|}.
"""),
    "spam": _lines("""
Vous avez gagné <jackpot> !
{Félicitations|Bravo|Incroyable}, vous êtes {notre gagnant|le <many>e visiteur|l'heureux gagnant} {du jour|} !
{Votre adresse a été tirée|Votre numéro a été tiré} {au sort|par notre ordinateur} {ce mois-ci|}.
{Cliquez|Cliquez vite} {ici|sur ce lien} {pour réclamer|pour récupérer} {votre gain|vos <sum>} : <badlink>
{Gagnez|Touchez|Empochez} <jackpot> {par mois|par semaine} {sans effort|sans travailler|depuis chez vous} !
Vous {pouvez|allez} recevoir {<jackpot>|un chèque|un virement} {dès demain|sous 24 h|sans condition}.
Un {iPhone|bon d'achat|voyage|cadeau|chèque} {gratuit|surprise|exclusif} {vous attend|est réservé à votre nom} !
{Réclamez|Récupérez|Validez} votre {cadeau|gain|lot|récompense} avant {minuit|<day>|expiration}.
{Votre compte|Votre accès} {bancaire|PayPal|client|} {a été suspendu|sera bloqué sous 24 h|est limité}.
{Confirmez|Vérifiez|Mettez à jour} vos {coordonnées bancaires|identifiants|informations} {immédiatement|ici} : <badlink>
{Dernier avertissement|Dernier rappel|Urgent} : {votre compte|votre profil} sera {fermé|désactivé|supprimé}.
Votre colis {est bloqué|n'a pas pu être livré} : {réglez|payez} <smallprice> de {frais|douane} {ici|} <badlink>
Vous {avez droit à|pouvez demander} un remboursement {d'impôt|de la CAF|d'Ameli} de <jackpot>.
{Je suis|Mon nom est} {le prince|maître|la veuve|le banquier} <surname> et je {cherche|souhaite} votre aide.
Un {parent|client|homme d'affaires} {éloigné|décédé} {vous lègue|a laissé} un héritage de <jackpot>.
{Perdez|Éliminez} <few> kilos en <few> jours {sans régime|sans sport|grâce à cette pilule} !
{Médecins et experts|Les banques|Les dentistes} {détestent|cachent} {cette astuce|ce secret} !
{Investissez|Placez} <smallprice> dans {le bitcoin|la crypto|cette action} et {gagnez|doublez} {tout|<jackpot>} !
{Crédit|Prêt|Financement} {rapide|immédiat|sans justificatif} {de <jackpot>|} : {réponse en 5 minutes|accord garanti}.
{Des femmes|Des hommes|Des célibataires} {seules|près de chez vous|coquines} {vous attendent|veulent vous rencontrer}.
Rencontres {discrètes|sans inscription|100 % gratuites} : {entrez|cliquez} {maintenant|ici} !
{Pilules|Médicaments|Viagra} {sans ordonnance|à bas coût|livraison discrète} {, résultat garanti|} !
J'ai piraté votre {ordinateur|webcam|téléphone} : {payez|envoyez} <few>00 euros en bitcoin {sous 48 h|}.
Votre {ordinateur|téléphone} est infecté par <few> virus ! Téléchargez notre antivirus {gratuit|} : <badlink>
Travaillez {à domicile|depuis votre canapé|deux heures par jour} et {gagnez|encaissez} <jackpot>.
{Aucune|Sans} {expérience|compétence|qualification} requise, {argent facile|revenus garantis|paiement quotidien} !
{Participez|Jouez} {à notre loterie|au tirage|à la roulette} : {100 % des joueurs gagnent|un gagnant par heure} !
Votre {billet|numéro|ticket} de loterie {<code>|} {est gagnant|a été tiré} {, félicitations|} !
Vous êtes {éligible|présélectionné|retenu} : {recevez|touchez} {la prime|l'aide|la bourse} de <jackpot> {ici|}.
{Vous avez été|Vous venez d'être} {choisi|désigné} {parmi <many> personnes|par tirage au sort} !
Notre jury vous a sélectionné {parmi <many> internautes|au hasard|hier} : {répondez|réclamez} vite.
{Ne ratez pas|Ne laissez pas passer} cette {chance unique|opportunité|occasion incroyable} !
{Offre|Opportunité} {confidentielle|secrète|réservée aux initiés} : {répondez|agissez} {vite|avant minuit} !
{Agissez|Répondez|Inscrivez-vous} {maintenant|tout de suite|vite} : il ne reste que <few> {places|lots|minutes} !
Le premier prix est {de <sum>|une voiture|un voyage à <city>} {, il est à vous|} !
{Quel prix|Quelle récompense} {choisirez-vous|voulez-vous} : {une voiture|un téléphone|<jackpot>} ?
{Casino|Poker|Machines à sous} en ligne : {<jackpot> offerts|bonus de bienvenue|<few>00 tours gratuits} !
Bonus {spécial|exceptionnel} {de <sum>|à l'inscription} : {entrez le code <code>|dépôt minimum <smallprice>}.
{Votre|Cette} {facture|amende} n° <code> {est impayée|reste due} : {régularisez|payez} {ici|sous 24 h} <badlink>
{Répondez|Envoyez} {OUI|STOP|GAGNE} au <phone> {pour confirmer|pour participer|et recevez votre lot}.
{Appelez|Rappelez} {vite|} le <phone> {pour toucher|afin d'obtenir} {votre chèque|votre lot|votre gain}.
{Un|Votre} transfert de <jackpot> est en attente {sur votre compte|à votre nom} {, répondez vite|}.
{Envoyez|Indiquez}-nous {votre RIB|votre numéro de carte|vos nom et adresse} {pour le virement|par retour de mail}.
{Devenez|Soyez} {riche|millionnaire|libre financièrement} en <few> {jours|semaines|mois} !
{La méthode|Le système|Le robot} {secret|miracle|automatique} qui {rapporte|fait gagner} <jackpot> {par jour|} !
{Voyance|Horoscope|Tarot} gratuit : {une voyante|un médium} a vu {votre avenir|une rentrée d'argent} !
{Répliques|Montres de luxe|Sacs de marque} à {-90 %|prix cassé|<smallprice>} {, stock limité|} !
{Panneaux solaires|Pompe à chaleur|Isolation} à 1 euro : {vérifiez|testez} votre éligibilité {ici|}.
Il vous reste <few>00 euros sur votre compte formation {CPF|}, {utilisez-les|ils expirent} !
{Répondez|Participez} {à ce sondage|à <few> questions} et {gagnez|recevez} {une carte cadeau|un iPad|un robot}.
{Message|Courrier} {automatique|officiel|confidentiel} : {un gain|une somme|un lot} {vous attend|à retirer}.
{Offert|Cadeau} : {un smartphone|une télévision|un aspirateur} pour <smallprice> de frais de port !
{Désinscription|Désabonnement} impossible {avant validation|sans confirmation} : <badlink>
{Ceci n'est pas|Ce n'est pas} {une blague|un canular|une arnaque} : {vous avez vraiment gagné|tout est vrai} !
Cher {bénéficiaire|ami|gagnant}, {vos fonds|vos <sum>} sont prêts {à être transférés|pour le virement}.
{Votre mot de passe|Votre abonnement|Votre antivirus} {expire|a expiré} : {renouvelez|reconnectez-vous} {ici|} <badlink>
{Le trésor public|La banque|Netflix} vous demande de {valider|confirmer} {votre identité|un paiement} : <badlink>
{Prenez|Réservez} votre {gain|lot} : {c'est gratuit|sans engagement|sans obligation d'achat} !
Nous avons {essayé|tenté} de vous {joindre|contacter} {<few> fois|} {au sujet de|pour} votre {gain|indemnité}.
{Garanti|Prouvé|Vu à la télé} : {des milliers de personnes|<many> Français} {sont devenus riches|ont gagné} !
{Un inconnu|Une admiratrice} {vous a laissé|veut vous envoyer} {un message|des photos} : {lisez|ouvrez} <badlink>
Compte Facebook {signalé|bloqué} : {confirmez|envoyez} votre mot de passe {ici|sous 24 h} <badlink>
{Toutes nos|Mes} félicitations : {vous remportez|vous empochez} {la récompense|le gros lot|un séjour} {de <jackpot>|} !
{Repousse des cheveux|Ventre plat|Sommeil parfait} {en <few> jours|garanti} : {le remède|l'élixir} {naturel|interdit} !
{Effacez|Rachetez} vos {dettes|crédits} {en un clic|sans frais} : {simulation gratuite|dossier accepté d'office}.
Chanceux ! {Votre nom|Votre pseudo} {figure|apparaît} {dans la liste|au tableau} des gagnants {de <month>|}.
"""),
    "famille": _lines("""
Agenda pour la réunion de famille {de ce|du prochain} week-end.
{Maman|Papa|Mamie|Papi} {t'embrasse|vous embrasse|pense à toi} {très fort|} !
Tu {viens|passes|arrives} à quelle heure {<day>|demain|dimanche} {pour le repas|chez mamie|à la maison} ?
{N'oublie pas d'|Pense à |Tu pourras }<familytask> {stp|demain|avant midi|} ?
<relative> {arrive|vient|débarque} <when> {par le train de <hour>|avec les enfants|en voiture}.
On {mange|dîne|déjeune} {chez <relative>|à la maison} <when>, {tu apportes|je prépare} <dish>.
Le dîner {sera|est} {prêt|servi} à <hour>, {ne sois pas en retard|les enfants ont faim}.
J'ai {préparé|cuisiné|fait} <dish> {comme tu aimes|pour le dessert|avec la recette de mamie}.
{Les enfants|Les petits|Tes neveux} {ont hâte de te voir|te réclament|dorment déjà|sont malades}.
Ton {frère|cousin|oncle} {a eu son permis|s'est fiancé|déménage} {en <month>|}, {tu le savais ?|c'est officiel !}
Ta {sœur|cousine|tante|grand-mère} {va mieux|est rentrée de l'hôpital|a accouché} {hier|ce matin|} !
{Je t'envoie|Voici|Regarde} {les photos|une vidéo} {du baptême|de Noël|du petit|de nos vacances} {, tu vas rire|}.
On part en vacances {à <city>|en <country>|à la mer|à la montagne} {en <month>|cet été} {avec <relative>|}.
{La maison|La location} {pour les vacances|à <city>} est {réservée|trop petite|à nous} {jusqu'au <date>|}.
Qui {garde|récupère|emmène} {les enfants|le chien|le chat|les jumeaux} {<day>|pendant les vacances} ?
{Peux-tu|Tu peux} {aller chercher|déposer} {<child>|les enfants} {à l'école|à la crèche|au judo} {à <hour>|} ?
<child> a {perdu une dent|eu son bac|eu 18 en maths|fait ses premiers pas} {aujourd'hui|hier} !
L'anniversaire de <relative> {est|tombe} <when>, {on se cotise|tu as une idée de cadeau} ?
On fête {les <age> ans|l'anniversaire|la retraite} de <relative> <when> {, venez tous|, garde la date}.
{Joyeux anniversaire|Bonne fête|Bonne année} {mon chéri|ma chérie|ma puce|mon grand|papa|maman} !
{Merci|Mille mercis} pour {le cadeau|ton cadeau|les fleurs|le week-end}, {ça m'a touchée|on s'est régalés} !
{Ton père|Papa|Tonton} a {réparé|repeint|cassé} {le portail|la chaudière|la balançoire|ton vélo}.
{La cousinade|Le repas de Noël|Le baptême|Le mariage} {aura lieu|est prévu} <when> {à <city>|chez <relative>}.
Pour {Noël|Pâques|le réveillon}, {on se retrouve|on va} chez <relative> {comme d'habitude|cette année}.
{Vous venez|Venez} {tous|avec les enfants} {goûter|déjeuner|dîner} {à la maison|chez nous} {<day>|dimanche} ?
{Préparez|Prenez} {vos maillots|vos bottes|vos doudous}, on part {à <hour>|chez papi} !
{Soyez|Arrivez} {à l'heure|tous là} <when>, {mamie|tante Odile} {compte sur vous|a tout cuisiné} !
{Habillez-vous chaudement|Installez-vous|Servez-vous}, {papa arrive|mamie a fait un gâteau|il y a de la soupe}.
{Papi|Mamie|Tonton} {raconte encore|a retrouvé} {son enfance|les vieilles lettres|l'arbre généalogique}.
{Bien arrivés|On est bien arrivés} à <city>, {il fait beau|la route était longue|les petits dorment}.
{Appelle|Rappelle|Téléphone à} {mamie|papi|tonton|marraine} {ce soir|quand tu peux|demain} {, stp|}.
{Tu me manques|Vous me manquez|On pense à toi} {beaucoup|, mes trésors|très fort|, ma grande} !
{Gros bisous|Plein de bisous} {à toute la famille|aux enfants|de la part de <relative>} !
Toute la famille {sera là|se réunit|pense à toi} <when> {, même <relative>|}.
Le repas {de famille|du dimanche} est {reporté|avancé|décalé} {à <hour>|au <date>} {, dis-le à <relative>|}.
{Il faut|On doit} {acheter|prévoir} {le pain|une bûche|du fromage|les cadeaux} {pour <when>|avant midi}.
Tu {as bien dormi|manges assez|révises|rentres quand}, {mon poussin|mon lapin|mon grand|ma belle} ?
{J'ai lavé|J'ai repassé|J'ai rangé} {ton linge|ta chambre|tes affaires} {, tu peux passer|}.
{Le médecin|Le dentiste|Le pédiatre} de {<child>|mamie} a {rappelé|déplacé le rendez-vous} {à <hour>|}.
{La maîtresse|L'école|La nounou} {demande|a appelé} : {réunion parents-profs|fièvre|sortie au zoo} <when>.
{On se fait|On organise} {un barbecue|un pique-nique|une crêpes-party|une soirée jeux} {<day>|<when>} {au jardin|} ?
{Le bébé|La petite|Le petit dernier} {pèse <few> kilos|a tes yeux|ne dort pas} {, quelle joie|}.
{Ta tante|Mon frère|Ton parrain} {te prête|te donne} {sa voiture|son canapé|le lit du bébé}.
{La recette|Le secret} de {mamie|ta grand-mère} : {deux œufs|du beurre salé|un peu de rhum} {et de l'amour|}.
Le chien {a mangé|a caché} {le gigot|tes chaussons|le doudou de <child>} {, quel coquin|} !
Tu {restes|dors} {à la maison|chez nous} {ce soir|<day> soir|pour Noël} ? {Ton lit est prêt|Dis-moi}.
{Rapporte|Apporte|Prends} {du pain|le plat|les jeux|une tarte} {en rentrant|stp|pour ce soir} !
{On rentre|Je rentre} {tard|vers <close>} ce soir, {ne m'attends pas|il reste <dish>|couche les enfants}.
{Dînez|Mangez} sans {moi|nous}, {le train a du retard|je finis tard} {, bisous|} !
J'ai eu {<relative>|ta sœur|mamie} au téléphone, {elle va bien|tout le monde va bien|on a bien ri}.
{Tes cousins|Les cousins|Les voisins de mamie} {viennent|passent} {à la piscine|goûter} <when>.
{Papa et moi|Ta mère et moi} {sommes|on est} {fiers de toi|très heureux|un peu inquiets}.
{Bravo|Félicitations} {ma chérie|mon fils|<child>} pour {ton bac|ton diplôme|ton permis|le bébé} !
{Les clés|Tes clés} sont {sous le pot|chez la voisine|dans la boîte}, {fais comme chez toi|nourris le chat}.
On a {planté|cueilli|récolté} {des tomates|des cerises|des pommes} {avec papi|au jardin} {, on t'en garde|}.
{Ma petite sœur|Mon grand frère|Ton filleul} {joue|chante|danse} {au spectacle|à la kermesse} <when> {à <hour>|}.
{Comment va|Comment se porte} {le petit|mamie|<child>|ton genou} ? {On s'inquiète|Donne des nouvelles}.
{Noël|La Toussaint|Le mariage} approche : {qui vient|qui dort où|combien serons-nous} ?
Tu te souviens {des vacances à <city>|de la maison de papi|du vieux chien} ? {Quelle époque|J'y pense souvent} !
{Pour le dîner|Ce midi|Dimanche}, on fait {simple|<dish>|des pizzas maison}, {ça te va|les enfants adorent} ?
{Je suis désolée|Pardon} pour hier, {on se parle quand|tu viens manger|tu m'en veux} {ma puce|mon fils|frérot} ?
{Les obsèques de|La messe pour} {papi|l'oncle Bernard} : <when> {à <city>|à <hour>|}.
Cette réunion entre cousins {était géniale|m'a fait du bien}, {on recommence|merci <child>} !
{Tata|Marraine|Mamie} a tricoté {un pull|une écharpe|un bonnet} pour {<child>|le bébé|ton fils}.
Le soir, <child> {lit avec mamie|veut un câlin|réclame son papa} {, c'est mignon|}.
{Ton équipe|L'équipe de <child>} a gagné {le match|le tournoi} {, papa était fou de joie|} !
"""),
    "promotions": _lines("""
Promotion exceptionnelle sur {nos produits|nos <goods>|toute la boutique}.
{Jusqu'à|Profitez de} -<percent> % sur {nos|les} <goods> {jusqu'au <date>|ce week-end|dès <day>} !
{Profitez|Bénéficiez} de <percent> % de {remise|réduction} {avec le code <coupon>|sur votre panier|dès <price> d'achat}.
{Soldes|Ventes privées|Braderie} : {<goods>|<goods> et <goods>} {à partir de <price>|à -<percent> %}.
La livraison est {offerte|gratuite} {dès <price> d'achat|ce week-end|en point relais|jusqu'à <day>}.
{Notre nouvelle|Découvrez la} collection {printemps|automne|été|hiver} {est arrivée|en boutique|signée <shop>}.
{Découvrez|Essayez|Adoptez} {nos|les} <goods> {à <price>|en avant-première|fabriqués en France}.
{Code promo|Code avantage|Bon de réduction} <coupon> : {-<percent> %|<price> offerts} {sur tout le site|en magasin}.
{Plus que|Encore} <few> jours pour {profiter de|découvrir} {nos offres|nos soldes|la vente privée} !
{Offre|Vente} flash {<day>|aujourd'hui} : {<goods>|tout} à {-<percent> %|<price>} {de <close> à minuit|}.
Pour deux articles {achetés|au choix}, le {troisième|suivant} est {offert|à moitié prix}.
{Black Friday|Cyber Monday|French Days} chez <shop> : {-<percent> %|des prix fous} sur les <goods>.
{Votre|Une} carte de fidélité {<shop>|} {vous offre|vous rapporte} {<few>0 points|<price>|un café}.
Vous avez cumulé <few>0 points {de fidélité|} : {utilisez-les|échangez-les} {avant le <date>|en caisse}.
{Votre panier|Votre sélection} vous attend : {-<percent> %|livraison offerte} {si vous commandez|avant <day>}.
{Offrez-vous|Faites-vous plaisir avec} {nos|des} <goods> {à petit prix|à partir de <price>|en édition limitée}.
Les prix {baissent|dégringolent} {encore|} : {-<percent> %|deuxième démarque} sur {les <goods>|une sélection}.
Les meilleurs prix {de la saison|de l'année} sont chez <shop> {, jusqu'au <date>|}.
{Abonnement|Forfait} {mobile|fibre|presse|salle de sport} à <price> par mois {pendant <few> mois|sans engagement}.
{Premier mois|Deux mois} {offert|à 1 €} pour toute {inscription|commande} {avant le <date>|en ligne}.
{Réservez|Partez} : {vols|hôtels|séjours} {à <city>|pour <city>} {dès <price>|à -<percent> %} {petit déjeuner inclus|}.
Vos vacances {d'été|à <city>|au ski} {dès <price>|à prix réduit} {par nuit|par personne} {avec <shop>|}.
{Fête des Mères|Saint-Valentin|Noël|Rentrée} : {nos idées cadeaux|nos coffrets} {dès <price>|à -<percent> %}.
Pour votre anniversaire, <shop> vous offre {<price>|-<percent> %|un cadeau} {dès <price> d'achat|en magasin}.
{Parrainez|Invitez} un ami et {recevez|gagnez} <price> {en bon d'achat|sur votre prochaine commande}.
{Inscrivez-vous|Abonnez-vous} à {notre newsletter|notre lettre} : {-<percent> %|<price>} sur la première commande.
{Ouverture|Inauguration} de {notre boutique|notre magasin} à <city> {le <date>|<day>} : {-<percent> %|cocktail offert}.
{Déstockage|Liquidation} {total|avant travaux|de printemps} : {<goods>|tout doit partir} {à -<percent> %|dès <price>} !
Nos conseillers vous {accueillent|attendent} {<day>|dimanche} {de <open> à <close>|} {à <city>|en magasin}.
{Retrait|Retour} gratuit {en magasin|sous 30 jours} sur {nos|les} <goods>.
{Payez|Réglez} en {trois|quatre} fois sans frais {dès <price>|vos <goods>}.
{Menu|Formule} {du midi|enfant|dégustation} à <price> {du lundi au vendredi|chez <shop>|, boisson comprise}.
{Restaurant|Pizzeria} <shop> : {un dessert offert|-<percent> %} pour {tout repas|un dîner à deux} {ce mois-ci|}.
{Les exclusivités|Les bonnes affaires|Les nouveautés} {de la semaine|du <date>} : <goods>, <goods>.
Notre catalogue {de <month>|de saison|} est {en ligne|arrivé} : {feuilletez-le|consultez-le} sur <link>
{Voir|Découvrir} {l'offre|la collection|la sélection} : <link>
{J'en profite|Je commande|Achetez maintenant} : <link>
{Avant-première|Prévente} {réservée|} {à nos clients|aux abonnés|aux membres} : {-<percent> %|accès dès <hour>}.
{Cher client|Fidèle client}, merci de votre confiance : {-<percent> %|<price> offerts} {sur les <goods>|}.
{Deux articles pour le prix d'un|Trois articles pour le prix de deux} {jusqu'à <day>|chez <shop>}.
{Prix spécial|Tarif spécial|Offre spéciale} {rentrée|étudiants|abonnés|vacances} : <goods> à <price>.
{Nos experts|Nos stylistes} ont sélectionné {<few> <goods>|les <goods>} {à offrir|de la saison}.
{Cumulez|Combinez} {les offres|vos remises} : <percent> % + <percent> % {en caisse|sur les <goods>}.
{Satisfait ou remboursé|Garantie deux ans} sur {nos|les} <goods> {jusqu'au <date>|}.
{Les places|Les billets} {de concert|de cinéma|de théâtre} à <price> {pour les abonnés|jusqu'à <day>}.
{Jeu|Concours} {en magasin|de l'été} : {une carte cadeau|un vélo|un panier garni} à gagner {sans achat|}.
Votre avis compte : {notez votre commande|répondez} et {obtenez|gagnez} -<percent> % {sur la prochaine|}.
{Dernière|Ultime} démarque {chez <shop>|} : {<goods>|<goods> et <goods>} {à partir de|dès} <price>.
{Tout|Le meilleur} pour {la maison|le jardin|bébé|la cuisine|le sport} {à -<percent> %|dès <price>} {chez <shop>|}.
{Nouveau|Nouveauté} : {nos <goods> arrivent|la gamme bio arrive|la box est disponible} {à <price>|en magasin}.
{Un achat|Une commande}, {un cadeau|un échantillon offert|<price> remboursés} {jusqu'au <date>|} !
{Stock limité|Quantités limitées} {sur les <goods>|} : {commandez vite|premier arrivé, premier servi}.
Vos {<goods>|articles} préférés sont {de retour|en solde|à -<percent> %} {chez <shop>|} !
{Le dimanche|Ce <day>}, {nos magasins|toutes nos boutiques} ouvrent {de <open> à <close>|toute la journée}.
{Panier|Coffret} {garni|découverte|gourmand} {pour deux|} à <price> {au lieu de <price>|}.
<shop> {fête ses|a} <few>0 ans : {-<percent> %|un cadeau} {pour tous|dès <price>} {jusqu'au <date>|} !
Suivez <shop> sur {Instagram|Facebook|Pinterest} pour {nos ventes flash|des codes exclusifs}.
{Téléchargez|Utilisez} notre appli et {gagnez|économisez} <price> sur {vos|les} <goods>.
Les {enfants|étudiants|seniors} {paient|profitent de} {demi-tarif|-<percent> %} {chez <shop>|pendant les vacances}.
Échangez {votre ancien téléphone|vos vieux jeans} contre {<price>|un bon d'achat}.
{Votre|Cette} offre {expire|se termine} {ce soir|demain|<day>} {à minuit|} : {-<percent> %|code <coupon>}.
{Les soldes|Les offres|Les ventes privées} {commencent|finissent} <day> {à <hour>|chez <shop>} {, préparez vos listes|}.
{Nos|Les} <goods> {passent à|sont à} <price> {ce mois-ci|cette semaine} {seulement|}.
{Frais de port|Emballage cadeau} à 1 € {sur les <goods>|avec le code <coupon>}.
{Traiteur|Épicerie} <shop> : {plateaux|apéritifs|buffets} de fête {dès <price>|à -<percent> %} {pour vos repas|}.
"""),
    "travail": _lines("""
Réunion d'équipe prévue {demain|<day>} à <hour>.
La réunion {<project>|de service|d'équipe|budget} est {{reportée|avancée} {au <date>|à <hour>}|annulée|confirmée}.
{Veuillez trouver|Vous trouverez|Je vous transmets} {ci-joint|en pièce jointe} <document>.
{Pouvez-vous|Pourriez-vous|Merci de} {relire|valider|compléter|signer|renvoyer} <document> {avant <day>|d'ici <hour>} ?
{Merci de|Prière de} {m'envoyer|transmettre|mettre à jour} <document> {avant le <date>|dès que possible}.
{Le client|Notre client|Le fournisseur} <company> {attend|demande|a validé} {le devis|la livraison|une réponse}.
{L'ordre du jour|Le compte rendu|La présentation} {de la réunion|du comité|du CODIR} est {joint|sur le serveur}.
{Êtes-vous|Seriez-vous} {disponible|libre} <day> à <hour> pour {un point|un appel|une visio} {sur <project>|} ?
Le projet <project> {avance comme prévu|prend deux jours de retard|démarre en <month>|sera livré <day>}.
{Je serai|Je suis} {en congé|en télétravail|en déplacement à <city>|absent} {<day>|du <few> au <date>}.
{Votre demande de congés|Votre note de frais} {du <date>|} {est validée|est refusée|attend un justificatif}.
{La facture|Le bon de commande|Le devis} n° <code> {attend un règlement|est à valider|doit partir} {avant <day>|}.
{Le service|L'équipe} {informatique|comptable|RH|juridique|commerciale} {interviendra|vous contactera} <day>.
{Une coupure|Une maintenance|Une mise à jour} {du serveur|du réseau|de la messagerie} est prévue <day> à <hour>.
{Votre entretien|L'entretien annuel|L'entretien de <person>} {aura lieu|est fixé} <day> à <hour>.
<person> {rejoint|quitte} {l'équipe|le service} {comptable|juridique|informatique|} {le <date>|lundi}.
{La formation|L'atelier} « <skill> » {se tiendra|aura lieu} {en salle <few>|à distance} <day> à <hour>.
{Les chiffres|Les résultats|Les ventes} {du trimestre|de <month>} sont {stables|en hausse de <few> %|à revoir}.
{Nous devons|Il faut} {livrer|finaliser|boucler} {<project>|le dossier <company>} {avant <day>|d'ici vendredi}.
{Suite à|Comme convenu lors de} notre {appel|échange|entretien}, {voici|je vous confirme} {les points|le planning}.
{Peux-tu|Tu peux} {m'envoyer|relire|vérifier} <document> {avant la réunion|quand tu as cinq minutes|stp} ?
{On se voit|On fait le point} <day> à <hour> {en salle <few>|sur Teams|dans mon bureau} {pour <project>|}.
{Le planning|Le calendrier|L'échéancier} {de <month>|des astreintes|de production} est {en ligne|mis à jour|modifié}.
{Le contrat|L'avenant|La convention} {avec <company>|de <person>} {reste à signer|part à la signature} {ce matin|<day>}.
{Merci|Bravo} à tous pour {votre travail|vos efforts|la démo} {sur <project>|chez <company>|de cette semaine}.
{Le dîner|Le pot|Le déjeuner} {d'équipe|de service|de fin d'année} aura lieu <day> à <hour> {, répondez à <person>|}.
{Réunion|Séminaire} {des managers|de rentrée|d'équipe} {à <city>|} : {hôtel et dîner|train et repas} à réserver.
Un dîner avec {le client <company>|la direction|les partenaires} est {prévu|organisé} <day> {à <city>|}.
{Le badge|L'ordinateur|L'accès VPN} {du stagiaire|de <person>|du nouveau} {est prêt|ne fonctionne pas}.
{La direction|Le comité|Le directeur} {a validé|refuse|souhaite revoir} {le budget|le recrutement|la stratégie}.
{Notre|Le} chiffre d'affaires {de <month>|annuel} {progresse|recule} de <few> %.
{Merci de remplir|Complétez} {votre feuille de temps|le tableau de suivi|le questionnaire} avant <day> {<hour>|}.
{La paie|Le bulletin de salaire|La prime} de <month> {sera versée|est disponible} le <date>.
{Ticket|Incident} n° <code> : {l'anomalie est corrigée|en attente du client|mise en production <day>}.
{La mise en production|La recette|La livraison} {de <project>|} est {fixée|décalée} au <date> {à <hour>|}.
{Rappel|Pour rappel} : {les objectifs|les évaluations|les plannings} sont à {rendre|saisir} avant le <date>.
<person> passe {son entretien|le deuxième entretien} <day> à <hour> : {CV joint.|qui peut l'accueillir ?}
{Votre candidature|Votre CV} {au poste de <job>|} {a retenu notre attention|est à l'étude}.
{Nous recherchons|Nous recrutons} un <job> {en CDI|en alternance|à <city>} : {faites passer|diffusez l'annonce}.
{J'ai|Nous avons} {relancé|appelé|rencontré} {<company>|le prestataire} {hier|ce matin}, {réponse <day>|il réfléchit}.
{L'audit|Le contrôle|L'inventaire} {qualité|de sécurité|annuel} {commence|se termine} <day> {à <hour>|}.
{Le déménagement|L'aménagement} des bureaux {de <city>|} {est reporté|aura lieu le <date>}.
{Voici|Ci-dessous} {mes remarques|les actions à mener|les points en suspens} {sur <document>|pour <project>}.
{Le fichier|Le tableau|La base} {clients|Excel|des stocks} {contient des erreurs|est à jour|reste à corriger}.
{Merci de noter|Notez} {mon nouveau numéro : <phone>|le changement de salle : salle <few>}.
{Je vous propose|Je suggère} {un créneau|une visio|un rendez-vous} {<day>|le <date>} à <hour>.
{Bien reçu|C'est noté}, je {reviens vers vous|traite le dossier|vois avec <person>} {<day>|dans la journée|rapidement}.
{Le stagiaire|L'alternant|L'intérimaire} {commence|termine} {son rapport|sa mission} {<day>|le <date>}.
{La hiérarchie|Le service achats|Le juridique} {doit donner|a donné} {son accord|son feu vert} {sur <document>|}.
{Vous êtes convié|Vous êtes attendus} {au comité|à la revue|au point} {<project>|de projet} {<day>|} à <hour>.
{La visite médicale|Le rendez-vous chez <company>|La visite du site de <city>} {aura|a} bien lieu {le <date>|<day>}.
{Le parking|La cantine|L'ascenseur|L'étage <few>} {sera inaccessible|est en travaux} {<day>|jusqu'au <date>}.
{Consignes|Procédures} {de sécurité|d'accueil|d'achat} : {à lire|à signer} par {tous les salariés|chaque service}.
{Le télétravail|Le pointage|L'accord d'entreprise} {change|évolue} {au <date>|en <month>}.
{Le CSE|Le syndicat|Le comité d'entreprise} {se réunit|organise un vote} <day> {à <hour>|}.
{Pensez à|Merci de} {verrouiller vos postes|réserver vos salles|saisir vos heures} {chaque soir|avant <day>}.
{Qui peut|Quelqu'un peut-il} {me remplacer|animer la réunion|assurer l'astreinte} {<day>|demain} {à <hour>|} ?
{Le prix|Le tarif|La marge} {du contrat <company>|de la prestation} {reste à négocier|dépasse le budget}.
{Votre commande|La commande} de {fournitures|matériel|écrans} {est arrivée|est à l'accueil} {, bureau <few>|}.
{Dossier|Affaire} <company> : {les pièces manquent|le juge statue|les plans sont prêts} {, urgent|}.
{La note de synthèse|La note de cadrage|L'étude de faisabilité} {sera prête|est attendue} <day> {à <hour>|}.
{Félicitations|Bravo} à <person>, qui devient <job> {à <city>|au siège|à compter du <date>} !
{Ton retour|Votre avis} {sur la maquette|sur <document>} {m'aiderait|est attendu} {avant <day>|} {, merci|}.
{Le client|Le chef de projet} {souhaite recevoir|n'a pas reçu|réclame} <document> {, merci|}.
{Plus que|Il reste} <few> jours {avant la clôture|avant l'audit|avant la démo} : {où en êtes-vous|point <day>} ?
{Appel d'offres|Consultation} {de <city>|n° <code>} : {réponse|remise du dossier} avant le <date>.
"""),
}

SUBJECTS: dict[str, tuple[str, ...]] = {
    "réseaux sociaux": _lines("""
{Nouvelle notification|Nouveau message} {sur <network>|}
<person> {vous a ajouté|t'a identifié|a commenté votre photo}
Invitation {<network>|de <person>}
{Votre semaine|Ton récap} sur <network>
<few> {nouveaux abonnés|demandes d'amis|nouveaux likes}
{Rejoins|Suis}-moi {sur <network>|}
{Ma nouvelle page|Mon compte|Notre chaîne} <network>
Groupe « <group> »
#<tag> en tendance
{Live|Direct} {<day>|ce soir} sur <network>
{Vos suggestions|Vos relations} {de la semaine|}
{Connexion|Code de confirmation} <network>
Nouvelle {vidéo|story|publication} de <person>
Événement : <event>
"""),
    "spam": _lines("""
{GAGNÉ|Félicitations|BRAVO} !{!!|}
Vous avez gagné <jackpot>
{URGENT|Urgent} : {votre compte|votre colis|votre gain}
{Dernier rappel|Dernière chance} {avant clôture|}
Votre {cadeau|chèque|lot} {vous attend|est prêt}
{Héritage|Transfert} de <jackpot>
{Crédit|Prêt} {immédiat|sans justificatif}
{Maigrir|Gagner de l'argent} {sans effort|vite}
Re : {votre virement|votre dossier <code>|paiement en attente}
{Alerte|Avis} de sécurité {n° <code>|}
Remboursement {d'impôt|en attente}
{Bitcoin|Casino|Loterie} : <jackpot>
{Message|Rencontre} {confidentiel|près de chez vous}
100 % {gratuit|garanti}
"""),
    "famille": _lines("""
{Repas|Déjeuner|Dîner} {de dimanche|chez mamie|<when>}
{Anniversaire|Cadeau} de <relative>
{Nouvelles|Bisous} de {<city>|la maison|mamie}
{Les enfants|<child>}
{Noël|Vacances|Cousinade} {en famille|cette année|}
{Coucou|Bisous} {mon grand|ma puce|maman|papa|}
{Photos|Vidéo} {du baptême|des petits|de papi}
{Le train|Les clés|Le gâteau} {de <relative>|}
Réunion de famille
Pour {mamie|les petits|ton frère}
{Re|Tr} : {week-end chez papi|le mariage|garde des enfants}
{Qui vient|Tu viens} {<when>|dimanche} ?
{Ton linge|La voiture|Le chien}
{Joyeux anniversaire|Bonne fête} !
"""),
    "promotions": _lines("""
-<percent> % {sur nos <goods>|ce week-end|chez <shop>}
{Soldes|Vente flash|Ventes privées} {<shop>|: -<percent> %|}
Votre code {promo|} <coupon>
{Livraison|Retour} {offerte|gratuit} {jusqu'à <day>|}
{Nouvelle collection|Nos nouveautés} {<shop>|}
{Plus que|Encore} <few> jours
{Votre panier|Votre carte|Vos points} {vous attend|de fidélité|}
<goods> dès <price>
{Offre|Sélection} {de la semaine|de <month>|spéciale}
{Idées cadeaux|Catalogue} {de <month>|}
<shop> {fête ses <few>0 ans|vous gâte|: -<percent> %}
{Séjour|Week-end} à <city> dès <price>
{Promotion|Promo} {exceptionnelle|du jour} !
{Merci|Une surprise} {pour nos clients|de <shop>}
"""),
    "travail": _lines("""
{Réunion|Point|Comité} {d'équipe|<project>|du <date>|<day>}
{Compte rendu|Ordre du jour} {de la réunion|du <date>|}
{Devis|Facture|Contrat} {<company>|n° <code>}
Re : {planning|dossier <company>|projet <project>}
{Congés|Absence} {de <person>|du <date>|}
{Candidature|Entretien} {<person>|}
{Maintenance|Incident} {<day>|n° <code>|du serveur}
{Formation|Atelier} <skill>
Tr : {relance <company>|budget|note de service}
{Validation|Relecture} : <document>
{Bienvenue à|Départ de} <person>
{Objectifs|Résultats} {de <month>|du trimestre}
{Dîner|Pot} {d'équipe|de départ}
{Livraison|Point} {<project>|}
"""),
}

SMALL_TALK = _lines("""
Merci {beaucoup|encore|d'avance} !
{J'espère que tout va bien|Tout va bien ici}.
{Une petite|Juste une} {précision|information} avant tout.
{Désolé|Désolée} pour {le retard|ma réponse tardive}.
{Voilà, c'est|C'est} {confirmé|bientôt} !
{Bonne|Excellente} {journée|semaine|nouvelle} !
Quelques nouvelles {rapides|importantes|}.
{C'est bon à savoir|Bon à savoir} !
À ne pas manquer !
{Comme promis|Comme prévu}, {voici la suite|c'est fait}.
""")

VAGUE_SUBJECTS = _lines("""
Important
{Re : |Tr : |}{demain|samedi|lundi|la semaine prochaine}
{Petite|Une} question
{Information|Infos}
À lire
Bonjour
{Petit|} rappel
Merci !
{Bonne|Une bonne} nouvelle
{Enfin|C'est bientôt} !
Rendez-vous
{Urgent|À ne pas oublier}
""")

GREETINGS: dict[str, tuple[str, ...]] = {
    "réseaux sociaux": ("Bonjour <first>,", "Salut <first> !", "Bonjour,", "Hello !", "Salut à tous !", "Bonjour !"),
    "spam": ("Cher client,", "Bonjour,", "Cher ami,", "Chère Madame, cher Monsieur,", "Bonjour !", "Attention !"),
    "famille": (
        *("Coucou <first>,", "Coucou !", "Ma chérie,", "Mon grand,", "Salut <first> !", "Bonjour à tous,"),
        *("Bonjour maman,", "Chers tous,", "Mes chéris,", "Bonsoir les enfants,", "Salut frérot,"),
    ),
    "promotions": ("Bonjour <first>,", "Cher client,", "Chère cliente, cher client,", "Bonjour,", "Bonjour !"),
    "travail": ("Bonjour <first>,", "Bonjour à tous,", "Madame, Monsieur,", "Bonjour,", "Chers collègues,", "Bonsoir,"),
}

CLOSINGS: dict[str, tuple[str, ...]] = {
    "réseaux sociaux": ("À bientôt sur <network> !", "L'équipe <network>", "À très vite !", "<first>"),
    "spam": ("Cordialement,\n<first> <surname>", "Le service client", "À bientôt !", "Merci.", "Maître <surname>"),
    "famille": ("Bisous,\n<first>", "Je t'embrasse.", "Bises !", "À très vite !", "<first>", "Maman"),
    "promotions": ("L'équipe <shop>", "À bientôt en boutique !", "À bientôt !", "Votre magasin <shop>"),
    "travail": (
        *("Cordialement,\n<first> <surname>", "Bien à vous,\n<first>", "Bonne journée,\n<first>", "Merci d'avance."),
        *("Bien cordialement", "À demain,\n<first>"),
    ),
}

EMOJI = ("😊", "🎉", "😂", "❤️", "🔥", "👍", "🎁", "⏰")

# What a pattern means by "<word>": again a pattern.
WORDS: dict[str, str] = {
    "first": "Marie|Paul|Camille|Hugo|Léa|Karim|Sophie|Thomas|Nadia|Julien|Chloé|Antoine|Inès|Marc|Élodie|Yanis|"
    "Claire|Lucas|Fatou|Mathieu|Amélie|Bruno|Sarah|Noémie|Olivier|Mehdi|Agathe|Rémi|Pauline|Victor",
    "surname": "Belmard|Courtois|Delavigne|Fontanel|Garrivet|Kerlois|Lemarnot|Morvillet|Nouradin|Peltrois|Rochambel|"
    "Sauvanet|Tavernol|Vidalmon|Okonjo|Diarrasou|Benhadi|Lindquer",
    "person": "<first>|<first> <surname>|<first> <surname>",
    "child": "Léo|Emma|Jules|Louise|Noah|Zoé|Gabin|Lina|Tom|Jeanne",
    "relative": "mamie|papi|maman|papa|tante Odile|tonton Bernard|ta sœur|ton frère|ta cousine|tes parents|"
    "<child>|<first>",
    "age": "3|7|10|18|30|40|60|75|80|90",
    "day": "lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche",
    "when": "<day>|<day>|<day> soir|<day> midi|demain|demain soir|ce soir|ce week-end|le <date>|la semaine prochaine",
    "month": "janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre",
    "date": "{1er|2|3|5|8|11|12|14|15|17|20|21|23|26|28|30} <month>",
    "year": "2019|2021|2022|2023|2024|2025",
    "hour": "8h|8 h 30|9h|9 h 45|10h|10h30|11 h|12h15|14h|14 h 30|15h|16h45|17 h|18h|18 h 30|19h|19h30|20 h|20h30",
    "open": "9h|9 h 30|10h|10 h 30",
    "close": "18h|18 h 30|19h|20 h|21h",
    "few": "2|3|4|5|6|7|8|9|12|15",
    "many": "{1|2|3|5|8|12|20|50} {000|500}",
    "percent": "10|15|20|25|30|40|50|60|70",
    "price": "{5|9,90|12|14,99|19,90|25|29|35,50|39|49,90|59|79|99|129|249} {€|euros}",
    "smallprice": "{1|1,95|2|2,99|10|49|250} {€|euros}",
    "jackpot": "{un million|deux millions|dix millions} {d'euros|de dollars}|{1 000|2 500|5 000|10 000|50 000|750 000} "
    "{€|euros|dollars}|<few>00 {€|euros}",
    "sum": "{1 000|2 500|5 000|10 000|50 000|750 000|<few>00} {€|euros|dollars}",
    "code": "{2|4|7|9}{13|28|40|57|86}{0|3|5|8}{1|6|9}",
    "coupon": "{PROMO|SOLDES|FETE|NOEL|MERCI|AVRIL|CLUB|BONUS}{10|15|20|25|30}",
    "phone": "08 99 {12|45|70} {33|58} {04|61}|01 99 00 {14|37|52} {06|28|83}",
    "link": "https://{www|m|go}.{exemple|boutique|lien}.example/{a|page|p|voir}/<code>",
    "badlink": "http://{gain|secure|compte|colis|bonus}-<code>.example/{ok|go|login|x}",
    "city": "Lyon|Nantes|Brest|Toulouse|Annecy|Lille|Bordeaux|Biarritz|Strasbourg|Nice|Rennes|Dijon|Rome|Lisbonne|"
    "Barcelone|Marrakech",
    "country": "Italie|Espagne|Bretagne|Corse|Grèce|Irlande|Provence|Islande",
    "network": "Facebook|Facebook|Instagram|Instagram|LinkedIn|LinkedIn|TikTok|YouTube|Snapchat|Twitter|Pinterest|"
    "WhatsApp|Mastodon|Discord|Bluesky|Threads|Strava",
    "nick": "{<first>|le_chat|mister|miss|team}{_off|77|2000|_du_<few>|.photo}",
    "group": "{Les amis|Randonneurs|Cuisine|Anciens élèves|Jardiniers|Photo|Course à pied|Entraide|Lecture} {de|à} "
    "{<city>|<city>|la montagne}|{Vide-dressing|Covoiturage|Parents|Bons plans} <city>",
    "event": "{Festival|Concert|Brocante|Marathon|Apéro|Soirée|Vernissage} {de <city>|au parc|d'été|étudiant}",
    "topic": "cuisine|voyage|photo|jardinage|musique|jeux vidéo|mode|randonnée|foot|cinéma|bricolage|yoga|lecture",
    "tag": "{MondayMotivation|<city>|FoodPorn|Voyage|SummerVibes|OOTD|TBT|Rando|CatsOfInstagram|Recette|Run|Emploi}",
    "skill": "Python|Excel|gestion de projet|négociation|management|anglais|comptabilité|design|prise de parole|vente",
    "company": "Novatis|Delmarque|Groupe Orvane|Techlore|Bâti-Sud|Cabinet Valmer|Sodilec|Imprimerie Carnel|Logivert|"
    "Axomédia",
    "shop": "Doravil|Maison Bellaval|Tavélo|Bricovent|Sportélia|Jardin d'Elme|Optilune|Librado|Chez Pomme|Mobilys|"
    "Cosmélie|Vélomont",
    "goods": "chaussures|manteaux|robes|jouets|livres|vélos|matelas|canapés|parfums|smartphones|téléviseurs|baskets|"
    "jeans|bijoux|lunettes|valises|plantes|vins|fromages|casseroles|outils|tapis|lampes|cosmétiques|vestes|meubles",
    "dish": "un gratin|une blanquette|la tarte aux pommes|un gâteau au chocolat|des crêpes|le gigot|une quiche|"
    "la soupe|une salade de fruits|des lasagnes|un couscous|la raclette",
    "familytask": "appeler {mamie|papi|ta sœur|ton parrain}|acheter {le pain|un gâteau|des fleurs}|"
    "{apporter|amener} <dish>|arroser les {plantes|tomates}|aller chercher <child>|embrasser {les petits|mamie}",
    "project": "Boréal|Atlas|Phénix|Horizon|Mistral|Orion|Ariane|Tandem",
    "document": "le {contrat|devis|rapport|budget|planning|tableau de suivi|bon de commande|procès-verbal} {de <month>|"
    "<company>|mis à jour|}|la {présentation|note de cadrage|proposition|facture} {<company>|<project>|finale}",
    "job": "comptable|développeur|assistant|commercial|chef de projet|juriste|technicien|responsable qualité|acheteur",
}

_CHOICE = re.compile(r"\{([^{}]*)\}|<(\w+)>")  # the innermost braces first, so alternatives may nest
_ELISION = re.compile(r"\bde (?=[aeiouéêèœAEIOUÉÈ]|Hugo|Horizon)")  # "de" before a vowel, wherever a slot puts one
_SENTENCE_END = re.compile(r"[.!?…\n]+")


def generate(num_emails: int, seed: int) -> list[tuple[str, str, str]]:
    """Return `num_emails` synthetic e-mails as (category, subject, body) triples, shuffled.

    The same seed gives the same mails on every machine, and asking for fewer gives the first of them. None comes near a
    sentence of HELD_OUT; see the top of this file. Subjects have one line; lines of a body are separated by newlines.
    """
    rng = random.Random(seed)
    return [_email(rng) for _ in range(num_emails)]


def is_near_held_out(text: str) -> bool:
    """Return whether a text, or one sentence in it, shares too many words with one of HELD_OUT.

    >>> is_near_held_out("Vous avez gagné un prix !"), is_near_held_out("Vous avez gagné un million de dollars !")
    (True, False)
    """
    for fold in (_compose, _fold):
        whole = _words(fold(text))
        parts = [_words(fold(part)) for part in _SENTENCE_END.split(text)]
        for held_out in HELD_OUT:
            words = _words(fold(held_out))
            if 2 * len(whole & words) > len(words):
                return True
            if any(len(part & words) >= 3 and 2 * len(part & words) > len(part) for part in parts):
                return True
    return False


def _email(rng: random.Random) -> tuple[str, str, str]:
    category = pick(rng, [name for name, (weight, _) in CATEGORIES.items() for _ in range(weight)])
    while True:  # one draft in a hundred comes near, so this ends soon
        subject, body = _draft(rng, category)
        typed = [" ".join(_type(rng, word) for word in text.split(" ")) for text in (subject, body)]
        if not is_near_held_out(f"{subject}\n{body}") and not is_near_held_out("\n".join(typed)):
            return category, *_typeset(rng, typed[0], typed[1])


def _draft(rng: random.Random, category: str) -> tuple[str, str]:
    """Return subject and body before typos and typography."""
    # The smallest of two draws: one or two sentences are the usual case, four the exception.
    num_sentences = 1 + int(MAX_SENTENCES * min(rng.random(), rng.random()))
    patterns = some(rng, SENTENCES[category], num_sentences)
    subjects = SUBJECTS[category]
    if num_sentences > 1 and rng.random() < NEIGHBOUR_RATE:
        _, neighbours = CATEGORIES[category]
        neighbour = pick(rng, neighbours)
        patterns[int(rng.random() * num_sentences)] = pick(rng, SENTENCES[neighbour])
        if rng.random() < NEIGHBOUR_SUBJECT_RATE:
            subjects = SUBJECTS[neighbour]
    if rng.random() < SMALL_TALK_RATE:
        patterns.insert(int(rng.random() * len(patterns)), pick(rng, SMALL_TALK))
    sentences = [expand(rng, pattern) for pattern in patterns]
    if rng.random() < EMOJI_RATE:
        sentences[-1] += " " + pick(rng, EMOJI)
    lines = [" ".join(sentences)]
    if rng.random() < GREETING_RATE:
        lines = [expand(rng, pick(rng, GREETINGS[category])), *lines]
    if rng.random() < CLOSING_RATE:
        lines = [*lines, expand(rng, pick(rng, CLOSINGS[category]))]
    if rng.random() < VAGUE_RATE:
        subjects = VAGUE_SUBJECTS
    return expand(rng, pick(rng, subjects)), "\n".join(lines)


def expand(rng: random.Random, pattern: str) -> str:
    """Return one reading of a pattern; the module docstring explains the grammar."""
    while match := _CHOICE.search(pattern):
        alternatives = match[1] if match[1] is not None else WORDS[match[2]]
        chosen = pick(rng, _split(alternatives))
        pattern = pattern[: match.start()] + chosen + pattern[match.end() :]
    text = (
        re.sub(" +", " ", pattern).strip().replace(" ,", ",").replace(" .", ".")
    )  # an empty alternative leaves spaces
    text = _ELISION.sub("d'", text)
    return text[:1].upper() + text[1:]


def _split(alternatives: str) -> list[str]:
    """Return what the bars outside of braces separate."""
    parts, depth = [""], 0
    for character in alternatives:
        depth += (character == "{") - (character == "}")
        if character == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _type(rng: random.Random, word: str) -> str:
    """Return the word as it was typed, rarely with a typo; links, figures and codes are pasted, not typed."""
    if rng.random() >= TYPO_RATE or not re.fullmatch(r"[a-zà-ÿœ']+[.,]?", word):
        return word
    return misspell(rng, word)


def _typeset(rng: random.Random, subject: str, body: str) -> tuple[str, str]:
    """Return the mail with curved apostrophes and no-break spaces, if its program sets them."""
    if rng.random() >= CURVED_RATE:
        return subject, body
    curved = (re.sub(r" (?=[!?:;%€»])|(?<=«) ", "\u00a0", text.replace("'", "\u2019")) for text in (subject, body))
    return next(curved), next(curved)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def _compose(text: str) -> str:
    """Return the text in lower case, NFC, with straight apostrophes."""
    return unicodedata.normalize("NFC", text.lower().replace("\u2019", "'"))


def _fold(text: str) -> str:
    """Return the same without accents."""
    decomposed = unicodedata.normalize("NFD", _compose(text))
    return "".join(character for character in decomposed if not unicodedata.combining(character))
