/**
 * Common English words, one token each in the simulator's tokenizer.
 *
 * @module
 */

/** Lower-case words, separated by white space; no word is listed twice. */
export const ENGLISH_WORDS: readonly string[] = [
  ...new Set(
    `
a able about above accept access account across act action active actual add address advance
advantage adventure advice afraid after afternoon again against age agency agent ago agree ahead
aid aim air aircraft alarm alive all allow almost alone along already also alter although always am
among amount an ancient and anger angle angry animal announce annual another answer any anybody
anyone anything anyway apart apparent appeal appear apple apply approach area argue argument arise
arm army around arrange arrive arrow art article artist as ask asleep aspect assume at atom attach
attack attempt attend attention audience author authority autumn available average avoid awake award
aware away baby back background bad bag balance ball band bank bar bare barn base basic basis basket
bath battle bay be beach bear beat beautiful beauty became because become bed bedroom been before
began begin behavior behind being belief believe bell belong below belt bench bend beneath benefit
beside best better between beyond big bill billion bird birth bit bite bitter black blade blame
blanket blind block blood blow blue board boat body bold bomb bond bone book border born borrow both
bottle bottom bought bound bowl box boy brain branch brand brave bread break breakfast breath breathe
brick bridge brief bright bring broad broken brother brought brown brush budget build building built
burn burst bus business busy but butter button buy by cabin cake call calm came camera camp campaign
can cannot capable capacity capital captain capture car carbon card care career careful carefully
carry case cast castle cat catch cattle caught cause cell cent center central century certain
certainly chain chair challenge chance change channel chapter character charge chart chase cheap
check cheese chemical chest chicken chief child children choice choose chosen church circle citizen
city civil claim class classic clay clean clear clearly clever climate climb clock close closely
cloth clothes cloud club coach coal coast coat code coffee cold collect college colony color column
combine come comfort command comment commercial commission committee common community company
compare complete completely complex compound computer concern condition conduct confirm connect
consider consist constant contact contain content contest continent continue contract contrast
control conversation cook cool copper copy corn corner correct correctly cost cottage cotton could
council count country couple courage course court cover cow crack craft crazy cream create creature
credit crew crime crop cross crowd crown cry crystal culture cup current curve custom customer cut
cycle daily damage dance danger dangerous dark darkness data date daughter dawn day dead deal dear
death debate debt decade decide decision declare decline deep deeply deer defeat defend defense
define definition degree delay deliver demand democracy department depend depth describe desert
deserve design desire desk despite detail determine develop development device did die diet differ
difference different difficult dig digital dinner direct direction directly dirt disappear discover
discovery discuss discussion disease dish display distance distant district divide division do
doctor document does dog doing dollar domestic done door double doubt down dozen draft drag drama
draw drawn dream dress drew dried drink drive driven driver drop drove drug drum dry duck due dug
during dust duty each eager ear early earn earth ease easier easily east eastern easy eat economic
economy edge edition editor education effect effective effort egg eight either election electric
electricity element elephant eleven else elsewhere emotion empire employ empty enable encourage end
enemy energy engine engineer enjoy enough enter entire entirely entrance environment equal equally
equipment error escape especially essential establish estate estimate even evening event eventually
ever every everybody everyone everything everywhere evidence evil exact exactly examine example
excellent except exchange excited exciting exclaim excuse execute exercise exist existence expand
expect expensive experience experiment expert explain explanation explore express expression extend
extra extreme eye face facing fact factor factory fail failure fair fairly faith fall fallen false
familiar family famous fan far farm farmer farther fashion fast fastened fat fate father fault favor
favorite fear feather feature fed feed feel feet fell fellow felt fence few fewer field fierce
fifteen fifth fifty fight figure file fill film final finally finance find fine finest finger finish
fire fireplace firm first fish five fix flag flame flat flew flies flight float floating flood floor
flow flower fly fog folk follow food foot football for force foreign forest forever forget forgotten
form formal former fort forth forty forward fought found foundation four fourth fox frame free
freedom freight frequent frequently fresh friend friendly frighten frog from front frozen fruit fuel
full fully fun function fund funny fur furniture further future gain game garage garden gas gate
gather gave general generally generation gentle gently get getting giant gift girl give given glad
glance glass global globe glory go goal god goes gold golden gone good goods got govern government
grab grade gradually grain grand grandfather grandmother grant graph grass gravity gray great
greater greatest greatly green grew ground group grow grown growth guard guess guest guide gulf gun
habit had hair half hall hand handle handsome hang happen happened happily happy harbor hard harder
hardly harm harmony has hat hate have having hay he head heading health healthy hear heard heart
heat heaven heavy height held hello help helpful her herd here heritage hero herself hidden hide
high higher highest highly highway hill him himself his history hit hold hole holiday hollow home
honest honor hope horn horse hospital host hot hotel hour house household how however huge human
hundred hung hungry hunt hunter hurried hurry hurt husband ice idea ideal identity if ill
illustrate image imagine immediately impact importance important impossible improve in inch include
including income increase indeed independent indicate individual industrial industry infant
influence inform information initial injury inner innocent inside insect inside instance instant
instead instrument insurance intend interest interior internal international into introduce invent
invest investment invite involve iron is island issue it item its itself jacket jet job join joint
joke journal journey joy judge judgment juice jump jungle jury just justice keep kept key kick kid
kill kind king kingdom kitchen knee knew knife know knowledge known labor laboratory lack ladder lady
laid lake lamp land language large larger largest last late later latter laugh launch law lawyer lay
layer lead leader leaf league learn least leather leave leaves lecture led left leg legal legend
lesson let letter level liberty library lie life lift light lighting like likely limit limited line
link lion lip liquid list listen literature little live living load loan local locate location lock
log lonely long longer look loose lose loss lost lot loud love lovely low lower luck lucky lunch lung
machine machinery mad made magazine magic magnet mail main mainly maintain major majority make male
man manage manager manner manufacture many map march mark market marriage married mass massive master
match material mathematics matter may maybe me meal mean meant measure meat mechanical media medical
medicine medium meet meeting melted member memory men mental mention merely message met metal method
middle might mighty mile military milk mill million mind mine mineral minister minor minute mirror
miss missing mission mistake mix mixture mode model modern moment money monkey month mood moon moral
more morning most mostly mother motion motor mountain mouse mouth move movement movie moving much mud
multiply murder muscle museum music musical must my myself mysterious mystery nails name narrow
nation national native natural naturally nature near nearby nearer nearest nearly neat necessary neck
need needle needs negative neighbor neighborhood neither nerve nervous nest net network never new
newspaper next nice night nine no nobody nodded noise none noon nor normal north northern nose not
note nothing notice noun novel now nuclear number numeral nurse nuts object observe obtain obvious
obviously occasion occasionally occur ocean of off offer office officer official often oil old older
oldest on once one only onto open operate operation opinion opportunity opposite option or orange
orbit order ordinary organ organization organize organized origin original other otherwise ought our
ourselves out outcome outer outline outside over own owner oxygen pace pack package page paid pain
paint painting pair palace pale panel paper paragraph parallel parent park part particles particular
particularly partly partner party pass passage passenger past path patient pattern pay peace pen
pencil penny people per percent perfect perfectly perform performance perhaps period permanent permit
person personal perspective pet phase philosophy phone photo photograph phrase physical piano pick
picture piece pig pile pilot pine pink pipe pitch place plain plan plane planet plant plastic plate
plates play player pleasant please pleasure plenty plot plural plus pocket poem poet poetry point
pole police policy political politics pond pony pool poor popular population porch port position
positive possess possible possibly post pot potatoes pound pour powder power powerful practical
practice prepare presence present president press pressure pretty prevent previous price pride
primary prime prince principal principle print printed prison private prize probably problem
procedure process produce product production professional professor profit program progress project
promise promised proof proper properly property proposal protect protection proud prove provide
public publish pull punch pupil purchase pure purple purpose push put quality quantity quarter queen
question quick quickly quiet quietly quite rabbit race radio railroad railway rain raise ran ranch
range rapid rapidly rare rate rather raw ray reach reaction read reader ready real reality realize
really rear reason recall receive recent recently recognize recommend record red reduce refer reflect
reform refuse regard region regular relate relation relationship relative relatively release relief
religion religious remain remains remarkable remember remind remote remove rent repeat replace
replied reply report represent request require rescue research resource respect respond response
responsibility rest result return reveal review revolution rhythm rhyme rice rich ride riding right
ring rise rising risk river road roar rock rocket rocky rod role roll roof room root rope rose rough
round route row royal rubber rubbed rule ruler run running rush sad saddle safe safety said sail sale
salmon salt same sand sang sat satellites satisfied save saved saw say scale scared scene schedule
scheme school science scientific scientist score screen sea search season seat second secret section
security see seed seek seem seen seldom select selection sell send senior sense sent sentence
separate series serious serve service session set settle settlement settlers seven several severe
shade shadow shake shaking shall shallow shape share sharp she sheep sheet shelf shell shelter shift
shine shinning ship shirt shock shoe shoot shop shore short shorter shot should shoulder shout show
shown shut sick side sides sight sign signal silence silent silk silly silver similar simple simplest
simply since sing single sink sister sit site situation six size skill skin sky slave sleep slept
slide slight slightly slip slipped slope slow slowly small smaller smallest smell smile smoke smooth
snake snow so soap social society soft softly software soil solar sold soldier solid solution solve
some somebody somehow someone something sometime somewhere son song soon sort soul sound source south
southern space speak special species specific speech speed spell spend spent spider spin spirit spite
spite split spoke spoken sport spread spring square stage stairs stand standard star stared start
state statement station statistics status stay steady steam steel steep stems step stepped stick
stiff still stock stomach stone stood stop stopped store storm story stove straight strange stranger
strategy straw stream street strength stress stretch strike string strip strong stronger struck
structure struggle stuck student studied study studying stuff style subject substance succeed success
successful such sudden suddenly suffer sugar suggest suit suitable sum summer sun sunlight supper
supply support suppose sure surface surprise surrounded survey survive swam sweet swept swim swimming
swing swung syllable symbol system table tail take taken tales talk tall tank tape target task taste
taught tax tea teach teacher team tears technical technique technology teeth telephone television
tell temperature ten tend tent term terrible territory test text than thank that the theater thee
their them themselves then theory there therefore these they thick thin thing think third thirty this
those thou though thought thousand thread three threw throat through throughout throw thrown thumb
thus thy tide tie tight tightly till timber time tin tiny tip tired title to tobacco today together
told tomorrow tone tongue tonight too took tool top topic torn total touch toward tower town toy
trace track trade tradition traffic trail train training transfer transport transportation trap
travel treat treated tree trend trial triangle tribe trick tried trip troops tropical trouble truck
trunk trust truth try tube tune turn twelve twenty twice two type typical uncle under underline
understand understanding understood unhappy union unique unit united universe university unknown
unless until unusual up upon upper upward us use used useful user using usual usually valley valuable
value vapor variety various vast vegetable verb version vertical very vessels via victim victory view
village violence virtue visible vision visit visitor vital voice volume vote vowel voyage wage wagon
wait walk wall want war warm warn was wash waste watch water wave way we weak wealth weapon wear
weather web week weekend weigh weight welcome well went were west western wet whale what whatever
wheat wheel when whenever where wherever whether which while whispered whistle white who whole whom
whose why wide widely wife wild will willing win wind window wine wing winner winter wire wise wish
with within without wolf woman women won wonder wonderful wood wooden wool word wore work worker
world worried worry worse worst worth would wound wrapped write writer writing written wrong wrote
yard year yellow yes yesterday yet you young younger your yours yourself youth zero zone zoo
`.trim().split(/\s+/),
  ),
];
